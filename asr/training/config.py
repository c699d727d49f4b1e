"""Configuration of a training run, read from TOML by `asr train`."""

from dataclasses import dataclass, field, fields

from asr.config import ModelConfig, _fraction, _not_negative, _positive
from asr.errors import ConfigError
from asr.features import MEL_BINS


@dataclass(frozen=True)
class DataConfig:
    """What to train on.

    Attributes:
        manifest: Path of the JSONL manifest, relative to the config file.
        train: Splits to train on.
        speaker_share: Share of the training speakers that are heard, for learning curves: a smaller share is part of a
            larger one.
        dev: Splits whose WER is logged.
        cache: Folder of the feature cache, relative to the run's folder.
        encoded: Folder of the frames of an encoder that is not trained, computed once and without augmentation,
            relative to the run's folder; empty: they are computed anew in every step.
        noise: Folder of noise recordings, relative to the config file; empty: none.
        tokenizer: A sentencepiece model, relative to the config file; empty: learnt from the training texts.
        pronunciations: JSON file of the phonemes of every word of all splits, as `asr-data pronounce` writes it,
            relative to the config file, for the phoneme head (`model.phonemes` counts them); empty: there are none.
        teacher: Folder of what a teacher says of the recordings, as `asr-data teach` writes it, relative to the config
            file; empty: none. Recordings that it does not have are learnt without it.
        texts: Text files (.txt or .txt.xz), a sentence a line, that a learnt tokenizer and the text loss also see.
        text_rows: Sentences of each step's text loss.
        text_first_rows: Sentences of each step that trains on text alone.
        text_labels: Wordpieces of a row of text; the rest of a longer sentence is left out.
        bucket_frames: T of each length bucket, multiples of 64.
        batch_frames: Log-mel frames of a batch, padding included.
        jobs: Processes that decode audio into the cache.
    """

    manifest: str = "manifest.jsonl"
    train: tuple[str, ...] = ("train",)
    speaker_share: float = 1.0
    dev: tuple[str, ...] = ("dev",)
    cache: str = "cache"
    encoded: str = ""
    noise: str = ""
    tokenizer: str = ""
    pronunciations: str = ""
    teacher: str = ""
    texts: tuple[str, ...] = ()
    text_rows: int = 48
    text_first_rows: int = 512
    text_labels: int = 48
    bucket_frames: tuple[int, ...] = (384, 576, 832, 1216, 1664)
    batch_frames: int = 8192
    jobs: int = 2

    def __post_init__(self) -> None:
        """Checks the ranges."""
        _positive(self, "batch_frames", "jobs", "text_rows", "text_first_rows", "text_labels")
        if not 0.0 < self.speaker_share <= 1.0:
            raise ConfigError(f"speaker_share: expected more than 0 and at most 1, got {self.speaker_share}")
        if not self.train or not self.bucket_frames:
            raise ConfigError("data: expected at least one training split and one bucket")
        lengths = list(self.bucket_frames)
        if any(t <= 0 or t % 64 for t in lengths) or lengths != sorted(set(lengths)):
            raise ConfigError(f"bucket_frames: expected multiples of 64 that grow, got {lengths}")


@dataclass(frozen=True)
class AugmentConfig:
    """Augmentation of log-mel frames.

    Attributes:
        speeds: Factors of which one is drawn for each utterance.
        warp: Largest relative stretch of the mel axis, either way; at most 0.5.
        gain_db: Largest gain, either way.
        equalise_db: Root mean square of a random colouring of the spectrum, as by another microphone.
        noise_probability: Share of utterances with noise mixed in.
        noise_snr_db: Lowest and highest signal-to-noise ratio.
        reverb_probability: Share of utterances with a reverberant tail added.
        reverb_rt60_ms: Shortest and longest time in which the tail falls by 60 dB.
        reverb_level_db: Lowest and highest power of the tail relative to the direct sound.
        splice_probability: Share of utterances in whose place others of their speakers are spliced (`data.splice`).
        splice_words: Mean length of the runs of words that are spliced.
        splice_model: Model folder whose character head aligns the words, relative to the config file.
        join_probability: Share of rows that begin with a pause and in which others follow the utterance, up to a random
            length, at most that of the longest bucket (`data.joining`); these are not spliced.
        join_pause_ms: Longest pause before each utterance of those.
        frequency_masks: SpecAugment's masks over mel bins.
        frequency_width: Most bins of each.
        time_masks: SpecAugment's masks over time.
        time_fraction: Most of an utterance that each covers.
    """

    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    warp: float = 0.08
    gain_db: float = 10.0
    equalise_db: float = 0.0
    noise_probability: float = 0.3
    noise_snr_db: tuple[float, ...] = (5.0, 25.0)
    reverb_probability: float = 0.0
    reverb_rt60_ms: tuple[float, ...] = (150.0, 700.0)
    reverb_level_db: tuple[float, ...] = (-15.0, 0.0)
    splice_probability: float = 0.0
    splice_words: float = 3.0
    splice_model: str = ""
    join_probability: float = 0.0
    join_pause_ms: float = 600.0
    frequency_masks: int = 2
    frequency_width: int = 20
    time_masks: int = 3
    time_fraction: float = 0.05

    @property
    def changes_frames(self) -> bool:
        """Whether anything is augmented."""
        chances = self.noise_probability, self.reverb_probability, self.splice_probability, self.join_probability
        rates = self.warp, self.gain_db, self.equalise_db, *chances
        return self.speeds != (1.0,) or any(rates) or self.frequency_masks + self.time_masks > 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        chances = "noise_probability", "reverb_probability", "splice_probability", "join_probability"
        _fraction(self, *chances, "time_fraction")
        _not_negative(self, "gain_db", "frequency_masks", "frequency_width", "time_masks")
        if self.frequency_width > MEL_BINS:
            raise ConfigError(f"frequency_width: expected at most {MEL_BINS} bins, got {self.frequency_width}")
        if not 0.0 <= self.warp <= 0.5:
            raise ConfigError(f"warp: expected a number from 0 to 0.5, got {self.warp}")
        if not 0.0 <= self.join_pause_ms <= 10_000.0:
            raise ConfigError(f"join_pause_ms: expected a number from 0 to 10000, got {self.join_pause_ms}")
        if not 0.0 <= self.equalise_db <= 20.0:
            raise ConfigError(f"equalise_db: expected a number from 0 to 20, got {self.equalise_db}")
        if self.splice_words < 1.0:
            raise ConfigError(f"splice_words: expected at least 1 word, got {self.splice_words}")
        if self.splice_probability and not self.splice_model:
            raise ConfigError("splice_model: expected a model folder to align the words with, got none")
        if not self.speeds or min(self.speeds) < 0.5 or max(self.speeds) > 2.0:
            raise ConfigError(f"speeds: expected factors from 0.5 to 2, got {list(self.speeds)}")
        for name in ("noise_snr_db", "reverb_rt60_ms", "reverb_level_db"):
            bounds = getattr(self, name)
            if len(bounds) != 2 or bounds[0] > bounds[1]:
                raise ConfigError(f"{name}: expected [lowest, highest], got {list(bounds)}")
        if self.reverb_rt60_ms[0] < 1.0:  # far below, the tail's power is no longer a number
            raise ConfigError(f"reverb_rt60_ms: expected times of at least 1 ms, got {list(self.reverb_rt60_ms)}")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses, each in nats per label.

    Attributes:
        objective: "full_sum" (every alignment) or "viterbi" (the best one).
        characters: CTC at 40 ms on the lower layers.
        pieces: Wordpiece CTC at 80 ms.
        phonemes: CTC of the phoneme head (`model.phonemes`), at 40 ms on both levels of layers.
        crf: CTC-CRF of the phoneme head (`asr.objectives.crf`): its phonemes against all others, weighed by the bigram
            of the training transcripts' phonemes.
        consistency: Divergence between what the wordpiece head says of two augmented copies of an utterance (CR-CTC,
            Yao et al. 2025, 2410.05101); above 0, every batch has half as many utterances, twice each. The paper has
            0.2 times the weight of `pieces`, and stronger masks of time than without.
        teacher: Squared error of the encoder's frames, through a layer of its own that is not exported, against a
            teacher's (`data.teacher`), per frame and relative to their variance.
        transducer: The block lattice; 0: it is not computed.
        decoder: Cross-entropy of the encoder–decoder's labels.
        text: Internal language model on text that nobody spoke (`data.texts` and the training transcripts); 0: off.
        text_first_steps: Steps at the start that train on text alone: the predictor becomes a language model first.
        transducer_after: Step at which the transducer's loss comes in; before, it is not computed.
        prior_steps: Steps over which the prior that speech energy puts on characters fades out
            (`asr.objectives.prior`); 0: none.
        guide_steps: Steps over which the prior that the characters' alignment puts on wordpieces fades out; 0: none.
        delay_penalty: λ of FastEmit.
        delay_penalty_after: Step at which the delay penalty comes in.
    """

    objective: str = "full_sum"
    characters: float = 0.3
    pieces: float = 0.3
    phonemes: float = 0.0
    crf: float = 0.0
    consistency: float = 0.0
    teacher: float = 0.0
    transducer: float = 1.0
    decoder: float = 1.0
    text: float = 0.0
    text_first_steps: int = 0
    transducer_after: int = 1500
    prior_steps: int = 0
    guide_steps: int = 0
    delay_penalty: float = 0.0
    delay_penalty_after: int = 0

    def __post_init__(self) -> None:
        """Checks the objective's name and the weights."""
        _not_negative(self, *(f.name for f in fields(self) if f.name != "objective"))
        if self.objective not in ("full_sum", "viterbi"):
            raise ConfigError(f'objective: expected "full_sum" or "viterbi", got {self.objective!r}')

    @property
    def heads(self) -> tuple[str, ...]:
        """CTC losses that have a weight; the others are not computed."""
        return tuple(loss for loss in ("characters", "pieces", "phonemes", "crf") if self.weighs(loss))

    @property
    def views(self) -> int:
        """Augmented copies of each utterance in a batch, in adjacent rows."""
        return 2 if self.consistency else 1

    def weighs(self, name: str) -> bool:
        """Whether a loss has a weight above 0."""
        return bool(getattr(self, name) > 0)

    def trains(self, head: str) -> bool:
        """Whether a loss of a head has a weight above 0: phonemes have two."""
        return self.weighs(head) or (head == "phonemes" and self.weighs("crf"))


@dataclass(frozen=True)
class ScheduleConfig:
    """Optimiser and schedule.

    Attributes:
        steps: Steps of the whole run.
        optimiser: "adamw", or "muon" for the encoder's matrices and AdamW for the rest.
        parts: Parts of a batch that are computed side by side (on two cores two are faster than one).
        peak_rate: Learning rate after warm-up.
        final_rate: Learning rate at the end of the cosine.
        warmup_steps: Steps of linear warm-up.
        weight_decay: AdamW's decay.
        clip: Gradients' largest global norm.
        ema: Momentum of the exponential moving average of the weights, which is what is evaluated and exported.
        chunks: Encoder frames per chunk, one drawn for each batch; 0 is full context.
        chunk_weights: Relative frequency of each chunk.
        short_first_epochs: Epochs at the start in which short utterances come first.
        real_only_steps: Steps at the end that leave synthetic speech out (speakers whose name starts with "synth-").
        checkpoint_steps: Steps between checkpoints.
        evaluate_steps: Steps between evaluations on dev.
        log_steps: Steps between log lines.
        kept_checkpoints: Newest checkpoints that are kept, for averaging.
        seed: Of weights, plans and augmentation.
        mixed_precision: Whether matrix products run in bfloat16.
    """

    steps: int = 6000
    optimiser: str = "adamw"
    parts: int = 1
    peak_rate: float = 1.5e-3
    final_rate: float = 2e-5
    warmup_steps: int = 300
    weight_decay: float = 0.01
    clip: float = 2.0
    ema: float = 0.999
    chunks: tuple[int, ...] = (2, 4, 8, 16, 0)
    chunk_weights: tuple[float, ...] = (0.05, 0.2, 0.4, 0.15, 0.2)
    short_first_epochs: int = 1
    real_only_steps: int = 0
    checkpoint_steps: int = 200
    evaluate_steps: int = 500
    log_steps: int = 20
    kept_checkpoints: int = 3
    seed: int = 1
    mixed_precision: bool = True

    def __post_init__(self) -> None:
        """Checks the ranges."""
        _positive(self, "steps", "parts", "peak_rate", "clip", "kept_checkpoints")
        _positive(self, "checkpoint_steps", "evaluate_steps", "log_steps")
        _not_negative(
            self, "final_rate", "warmup_steps", "weight_decay", "short_first_epochs", "real_only_steps", "seed"
        )
        _fraction(self, "ema")
        if self.optimiser not in ("adamw", "muon"):
            raise ConfigError(f'optimiser: expected "adamw" or "muon", got {self.optimiser!r}')
        if len(self.chunks) != len(self.chunk_weights):
            raise ConfigError(f"chunk_weights: expected {len(self.chunks)} numbers, got {len(self.chunk_weights)}")
        if not self.chunks or min(self.chunks) < 0:
            raise ConfigError(f"chunks: expected numbers of frames, 0 for all, got {list(self.chunks)}")
        if min(self.chunk_weights) < 0 or not sum(self.chunk_weights):
            raise ConfigError(f"chunk_weights: expected numbers from 0, one above, got {list(self.chunk_weights)}")


@dataclass(frozen=True)
class TrainConfig:
    """A training run: model, data, augmentation, losses, schedule.

    Attributes:
        model: Sizes.
        data: Manifests and batches.
        augment: Augmentation.
        loss: Objectives.
        schedule: Optimiser and schedule.
        start_from: A model folder or a run's checkpoint whose weights the run starts from; empty: random. Its
            wordpieces and phonemes must be this run's (`data.tokenizer`), if parts are taken that say them.
        start_parts: Parts of the model whose weights are taken from there: "encoder", "predictor", …; empty: all.
        start_without: Layers whose weights are not taken from there, wherever in those parts they stand: "attention" is
            that of every encoder layer.
        trained: Parts of the model that are trained, the others stay as they started; empty: all.
    """

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    start_from: str = ""
    start_parts: tuple[str, ...] = ()
    start_without: tuple[str, ...] = ()
    trained: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks that the objective can train the model."""
        if self.model.context_feedback and self.loss.objective == "full_sum":
            raise ConfigError(
                'objective: expected "viterbi" with context_feedback, got "full_sum": the state of a predictor that'
                " sees contexts depends on the alignment, so the sum over alignments is not exact"
            )
        if self.loss.text and self.model.kind != "transducer":
            raise ConfigError(f"text: expected 0, for the text loss trains a transducer, got {self.loss.text}")
        if self.loss.consistency and (self.model.kind != "transducer" or not self.loss.pieces):
            raise ConfigError(
                f"consistency: expected 0, for it needs a transducer's wordpiece head, got {self.loss.consistency}"
            )
        if bool(self.loss.teacher) != bool(self.data.teacher):
            raise ConfigError("teacher: expected a folder (data) and a weight (loss), got one of them")
        if self.loss.teacher and (self.model.kind != "transducer" or self.data.encoded):
            raise ConfigError("teacher: expected 0, for it teaches a transducer's encoder, got a weight")
        self._check_phonemes()
        if self.loss.text and not self.data.texts:
            raise ConfigError("texts: expected text files for the text loss, got none")
        if self.data.encoded:
            self._check_encoded()
        if self.loss.text_first_steps and not self.loss.text:
            raise ConfigError("text: expected a weight of the text loss above 0 with text_first_steps, got 0")

    def _check_phonemes(self) -> None:
        """The phoneme head is trained where a transducer has one, by pronunciations; these are for nothing else."""
        wanted = next((name for name in ("phonemes", "crf") if self.loss.weighs(name)), None)
        if wanted is None:
            if self.data.pronunciations:
                raise ConfigError(
                    "pronunciations: expected a weight of the loss phonemes or crf, which they are for, got none"
                )
            return
        weight = getattr(self.loss, wanted)
        if self.model.kind != "transducer" or not self.model.phonemes:
            raise ConfigError(
                f"{wanted}: expected 0, for it trains the phoneme head of a transducer (model.phonemes), got {weight}"
            )
        if not self.data.pronunciations:
            raise ConfigError(f"pronunciations: expected a file of phonemes for the loss {wanted}, got none")

    def _check_encoded(self) -> None:
        """An encoder's frames can be stored if they are the same in every step."""
        fixed = self.trained and "encoder" not in self.trained and len(self.schedule.chunks) == 1
        if not fixed or self.augment.changes_frames or self.loss.heads:
            raise ConfigError(
                "encoded: expected parts that are trained without the encoder, one chunk size, no augmentation and no"
                " CTC head: frames are stored where they are the same in every step"
            )
