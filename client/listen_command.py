"""What `asr-client listen` does around `listen`: the device, the screen, Ctrl-C and the transcript."""

import asyncio
import sys
from typing import Any

from rich.console import Console
from rich.live import Live

from client.api import connect
from client.errors import EarshotError
from client.inbox import Event
from client.listen import listen, on_interrupt
from client.live_text import LiveText
from client.microphone import Microphone, input_devices
from server.wire import Final

REFRESHES = 12  # of the screen, a second


def print_devices() -> None:
    """Writes the microphones, the default one marked.

    Raises:
        MicrophoneError: without PortAudio.
    """
    for index, name, channels, default in input_devices():
        print(f"{'*' if default else ' '} {index:3d}  {name} ({channels} channels)")


async def listen_command(url: str, device: int | str | None, options: dict[str, Any]) -> int:
    """Listens until Ctrl-C and prints the transcript, in lines as they are final if nobody watches.

    Returns:
        The exit code: 1 if the session failed, after printing what was final.

    Raises:
        EarshotError: if the microphone or the server cannot be used at all.
    """
    screen = Console(stderr=True)
    watched = sys.stdout.isatty()

    def told(event: Event) -> None:
        if not watched and isinstance(event, Final) and event.text:
            print(event.text, flush=True)

    microphone = Microphone(device)
    session = connect(url, sample_rate=microphone.sample_rate, **options)
    text = LiveText(lambda: session.connected)
    code = 0
    try:
        async with session, microphone:
            screen.print(f"Listening, {session.ready.model}. Ctrl-C ends.", style="dim", highlight=False)
            with (
                on_interrupt(microphone.stop),
                Live(text, console=screen, refresh_per_second=REFRESHES, transient=True),
            ):
                await listen(microphone, session, text, told)
    except asyncio.CancelledError:
        screen.print("stopped before everything was final", style="yellow")
        code = 1
    except EarshotError as error:
        if not text.finals:
            raise
        screen.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        code = 1
    if microphone.overflows:
        screen.print(f"the system lost audio {microphone.overflows} times: is it busy?", style="yellow")
    if watched and text.finals:
        print(text.transcript)
    return code
