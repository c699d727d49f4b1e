"""Words from phonemes: a time-synchronous search through a lexicon of pronunciations, with word trigrams.

The classical decoder (token passing: Young et al. 1989; Ortmanns et al. 1997, "A word graph algorithm for large
vocabulary continuous speech recognition") over the CTC topology (Graves et al. 2006): the lexicon is a prefix tree of
phonemes; a token is a place in it with what the trigrams remember of the words before. At each frame of 40 ms a token
says blank, says its phoneme on, or goes to a phoneme below; where a word ends, its probability after the words before
takes the place of that of all words below the node (look-ahead), and the token is at the root again. Paths through one
word after the same words add up, as CTC has them; of different words before it, at the same place and with the same
memory, the likelier live on. After a pause a sentence may have ended: the word behind it has the probability of a
sentence's first word, too, and if that is the greater, what was said before is forgotten.

It runs beside the compiled step, on the host, in machine code by Numba: some tens of microseconds a frame of clear
speech, a millisecond or two where everything may be meant.

Letters: P phonemes, N nodes, V words, A tokens, F states of phrases.
"""

from typing import Any

import numpy as np

from asr.decoding.next_words import key_after, with_network
from asr.decoding.phonetic_types import ROOT
from asr.host_code import host_code
from asr.host_functions import log_sum, place_in_row
from asr.language.config import PHRASE_WORD
from asr.language.ngrams import START, UNKNOWN

NEVER = np.float32(-1e30)
NEAR = np.float32(10.0)  # nats from the best within which the network is asked: it takes its time
PAUSE = 14  # frames without a phoneme after which a sentence may have ended
ENDS = np.float32(0.3)  # the probability that it has
BINS = 256  # of the scores that lie within the beam


@host_code
def _after(memory: int, word: int, lm: Any) -> Any:
    """Log-probability of a word after what is remembered, and what is remembered then."""
    if word >= lm.log_probs.shape[0]:  # only a phrase has it
        return np.float32(PHRASE_WORD), -UNKNOWN - 1
    price = np.float32(0.0)
    previous = -memory - 1
    if memory >= 0:
        previous = lm.bigram_words[memory]
        trigram = place_in_row(lm.trigram_words, lm.trigram_starts[memory], lm.trigram_starts[memory + 1], word)
        bigram = place_in_row(lm.bigram_words, lm.bigram_starts[previous], lm.bigram_starts[previous + 1], word)
        if trigram >= 0:
            return lm.trigram_log_probs[trigram], bigram if bigram >= 0 else -word - 1
        price = lm.bigram_backoffs[memory]
    else:
        bigram = place_in_row(lm.bigram_words, lm.bigram_starts[previous], lm.bigram_starts[previous + 1], word)
    if bigram >= 0:
        return price + lm.bigram_log_probs[bigram], bigram
    return price + lm.backoffs[previous] + lm.log_probs[word], -word - 1


@host_code
def _slot(table: Any, tokens: Any, node: int, memory: int, last: int, phrase: int) -> int:
    """Where in the hash table the token of these is, or would be."""
    slot = (node * 1_000_003 + memory * 69_069 + last * 31_337 + phrase * 7_919) & (table.shape[0] - 1)
    while True:
        k = table[slot]
        if k < 0:
            return slot
        if (
            tokens.node[k] == node
            and tokens.memory[k] == memory
            and tokens.last[k] == last
            and tokens.phrase[k] == phrase
        ):
            return slot
        slot = (slot + 1) & (table.shape[0] - 1)


@host_code
def _taken(
    table: Any,
    slots: Any,
    tokens: Any,
    count: int,
    room: int,
    node: int,
    memory: int,
    last: int,
    phrase: int,
    score: Any,
) -> Any:
    """The token of these, made if there is none yet; its place, the number of tokens, and whether `score` leads it.

    Where there is no place for another token the place is -1.
    """
    slot = _slot(table, tokens, node, memory, last, phrase)
    k = table[slot]
    if k >= 0:
        return k, count, score > max(tokens.label[k], tokens.blank[k])
    if count >= room:
        return -1, count, False
    table[slot] = count
    slots[count] = slot
    tokens.node[count] = node
    tokens.memory[count] = memory
    tokens.last[count] = last
    tokens.phrase[count] = phrase
    tokens.label[count] = NEVER
    tokens.blank[count] = NEVER
    return count, count + 1, True


@host_code
def advance(
    log_probs: Any,
    first_frame: int,
    tokens: Any,
    count: int,
    following: Any,
    links: Any,
    linked: int,
    offset: Any,
    table: Any,
    slots: Any,
    bins: Any,
    tree: Any,
    lm: Any,
    network: Any,
    kept: Any,
    phrases: Any,
    lm_weight: Any,
    word_bonus: Any,
    beam: Any,
    most: int,
) -> Any:
    """Tokens after these frames: their number, that of the links, the offset of scores and the frames used.

    It stops early where the links are nearly full: the caller makes room.
    """
    blank = log_probs.shape[1] - 1
    room = following.node.shape[0]
    inside_words = room * 3 // 4  # of it for tokens inside words: where words end there must be some left
    for t in range(log_probs.shape[0]):
        if links.word.shape[0] - linked < room and t:
            return count, linked, offset, t
        said, silent, frame = log_probs[t], log_probs[t, blank], first_frame + t
        best, made = NEVER, 0
        bar = NEVER  # some token reaches it: nothing far below needs a place
        for i in range(count):
            last = tokens.last[i]
            on = tokens.label[i] + said[last] if last >= 0 else NEVER
            bar = max(bar, max(on, max(tokens.label[i], tokens.blank[i]) + silent))
        for i in range(count):
            node, memory, last, phrase = tokens.node[i], tokens.memory[i], tokens.last[i], tokens.phrase[i]
            label, pause = tokens.label[i], tokens.blank[i]
            either = log_sum(label, pause)
            on = label + said[last] if last >= 0 else NEVER
            off = either + silent
            score = max(on, off)
            if score > max(best, bar) - beam:
                k, made, leads = _taken(table, slots, following, made, inside_words, node, memory, last, phrase, score)
                if k >= 0:
                    best = max(best, score)
                    if leads:
                        following.link[k] = tokens.link[i]
                        following.start[k] = tokens.start[i]
                        following.end[k] = tokens.end[i]
                    following.label[k] = log_sum(following.label[k], on)
                    following.blank[k] = log_sum(following.blank[k], off)
            second = node == ROOT and tree.second >= 0
            here = tree.ahead[node]
            for turn in range(2 if second else 1):
                parent = tree.second if turn else node
                for c in range(tree.child_starts[parent], tree.child_starts[parent + 1]):
                    child = tree.children[c]
                    phone = tree.phone[child]
                    score = (pause if phone == last else either) + said[phone]
                    score += lm_weight * (tree.ahead[child] - here)
                    if score > max(best, bar) - beam:
                        k, made, leads = _taken(
                            table, slots, following, made, inside_words, child, memory, phone, phrase, score
                        )
                        if k >= 0:
                            best = max(best, score)
                            if leads:
                                following.link[k] = tokens.link[i]
                                following.start[k] = frame if node == ROOT else tokens.start[i]
                                following.end[k] = frame
                            following.label[k] = log_sum(following.label[k], score)
        inside = made
        for i in range(inside):
            # A word that ends, of the paths that end in its last phoneme: those with a blank behind it are at the root.
            node = following.node[i]
            if node == ROOT or following.label[i] <= best - beam:
                continue
            for c in range(tree.word_starts[node], tree.word_starts[node + 1]):
                word = tree.words[c]
                link = following.link[i]
                price, memory = _after(following.memory[i], word, lm)
                column = phrases.column[word]
                rest = following.label[i] - lm_weight * tree.ahead[node] + word_bonus
                rest += phrases.gain[following.phrase[i], column]
                listed = word < lm.log_probs.shape[0]  # else only a phrase has it
                known = listed and network.weight > 0
                key = key_after(links.key[link], word)
                if known and rest + lm_weight * price > best - NEAR:
                    price = with_network(price, word, link, links, network, kept)
                if link > 0 and listed and following.start[i] - links.end[link] > PAUSE:
                    # A sentence may have ended: the word may be a new one's first.
                    first, begun = _after(-START - 1, word, lm)
                    if known and rest + lm_weight * first > best - NEAR:
                        first = with_network(first, word, 0, links, network, kept)
                    if first > price:
                        memory, key = begun, key_after(links.key[0], word)
                    price = log_sum(price + np.log(np.float32(1.0) - ENDS), first + np.log(ENDS))
                score = rest + lm_weight * price
                if score <= best - beam or linked == links.word.shape[0]:
                    continue
                phrase = phrases.following[following.phrase[i], column]
                last = following.last[i]
                k, made, leads = _taken(table, slots, following, made, room, ROOT, memory, last, phrase, score)
                if k < 0:
                    continue
                best = max(best, score)
                if leads:
                    links.previous[linked] = following.link[i]
                    links.word[linked] = word
                    links.start[linked] = following.start[i]
                    links.end[linked] = following.end[i]
                    links.score[linked] = score + offset
                    links.key[linked] = key
                    following.link[k] = linked
                    following.start[k] = following.end[k] = frame
                    linked += 1
                # All paths that have ended here before and say the phoneme on are among these.
                following.label[k] = max(following.label[k], score)
        for i in range(made):
            table[slots[i]] = -1
        count = _kept(following, made, tokens, bins, best, beam, most)
        offset += best
    return count, linked, offset, log_probs.shape[0]


@host_code
def _kept(following: Any, made: int, tokens: Any, bins: Any, best: Any, beam: Any, most: int) -> int:
    """Copies the tokens that are not pruned, their scores relative to the best; returns their number.

    To keep no more than so many, as of histogram pruning (Steinbiss et al. 1994): whole bins of scores are left out.
    """
    bins[:] = 0
    for i in range(made):
        below = best - max(following.label[i], following.blank[i])
        if below < beam:
            bins[int(below / beam * BINS)] += 1
    reach, total = 0, bins[0]
    while reach + 1 < BINS and total + bins[reach + 1] <= most:
        reach += 1
        total += bins[reach]
    count = 0
    for i in range(made):
        below = best - max(following.label[i], following.blank[i])
        if not below < beam or int(below / beam * BINS) > reach or count == most:
            continue
        tokens.node[count] = following.node[i]
        tokens.memory[count] = following.memory[i]
        tokens.last[count] = following.last[i]
        tokens.phrase[count] = following.phrase[i]
        tokens.link[count] = following.link[i]
        tokens.label[count] = following.label[i] - best
        tokens.blank[count] = following.blank[i] - best
        tokens.start[count] = following.start[i]
        tokens.end[count] = following.end[i]
        count += 1
    return count


@host_code
def compacted(links: Any, linked: int, tokens: Any, count: int, into: Any) -> int:
    """Copies the links that tokens still have, in their order, to `into`; returns their number."""
    place = np.full(linked, -1, np.int32)
    place[0] = 0
    for i in range(count):
        k = tokens.link[i]
        while place[k] < 0:
            place[k] = 0
            k = links.previous[k]
    alive = 1
    into.word[0], into.key[0] = -1, links.key[0]
    for k in range(1, linked):
        if place[k] < 0:
            continue
        place[k] = alive
        into.previous[alive] = place[links.previous[k]]
        into.word[alive] = links.word[k]
        into.start[alive] = links.start[k]
        into.end[alive] = links.end[k]
        into.score[alive] = links.score[k]
        into.key[alive] = links.key[k]
        alive += 1
    for i in range(count):
        tokens.link[i] = place[tokens.link[i]]
    return alive


@host_code
def shared(links: Any, tokens: Any, count: int) -> int:
    """The latest link that is in the past of every token."""
    common = tokens.link[0]
    for i in range(1, count):
        k = tokens.link[i]
        while k != common:  # a link comes after those before it
            if k > common:
                k = links.previous[k]
            else:
                common = links.previous[common]
    return common
