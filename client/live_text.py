"""Words on the screen while they are spoken."""

from collections.abc import Callable

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.text import Text

from client.inbox import Event
from client.level import FLOOR_DB, meter
from server.wire import Final, Partial

METER_WIDTH = 24  # characters
METER_LINES = 1
SEGMENTS_DRAWN = 40  # more than fit a screen: drawing takes no longer after hours than after minutes


class LiveText:
    """The newest lines of a transcript, settled words bold, and a level meter; a rich renderable.

    Attributes:
        finals: Text of each segment that is final.
        level: Of the newest audio, in decibels of full scale.
        connected: Whether audio reaches the server at the moment; called at each drawing.
    """

    def __init__(self, connected: Callable[[], bool] = lambda: True) -> None:
        """Starts empty."""
        self.finals: list[str] = []
        self.level = FLOOR_DB
        self.connected = connected
        self._partial: Partial | None = None

    def take(self, event: Event) -> None:
        """An event came."""
        if isinstance(event, Final):
            if event.text:
                self.finals.append(event.text)
            self._partial = None
        else:
            self._partial = event

    @property
    def transcript(self) -> str:
        """Everything final, a segment a line."""
        return "\n".join(self.finals)

    def line(self) -> Text:
        """The newest text, settled words bold."""
        text = Text(" ".join(self.finals[-SEGMENTS_DRAWN:]), style="bold")
        if self._partial is not None and self._partial.text:
            if self.finals:
                text.append(" ")
            text.append(self._partial.text[: self._partial.stable], "bold")
            text.append(self._partial.text[self._partial.stable :], "not bold")
        return text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As much of the end as fits the screen."""
        height = max(1, (options.height or console.size.height) - METER_LINES - 1)
        lines = self.line().wrap(console, options.max_width)
        state = f"{self.level:4.0f} dB" if self.connected() else "connection lost, coming back …"
        bar = Text(f"🎤 {meter(self.level, METER_WIDTH)} {state}", style="dim" if self.connected() else "yellow")
        yield Group(*lines[-height:], bar)
