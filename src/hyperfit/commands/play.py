"""hyperfit play."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.play.settings import PlaySettings


@dataclass(frozen=True, kw_only=True)
class Play(PlaySettings):
    """Watch base and hyperfitted model continue a text side by side, on a page of this machine.

    Type a text or pick one. Repeated spans are marked as they are written, spans of the training data underlined; each
    token shows what else the model thought of, and what the other model thinks of it. Nothing is kept.
    """

    run_folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """A run made by hyperfit train."""

    groups: ClassVar = {
        "texts that are offered": ("contexts", "text_column", "most_contexts", "context"),
        "limits": ("longest", "new_tokens"),
        "server": ("host", "port"),
        "machine": ("device", "precision"),
    }

    def run(self) -> None:
        """Serve until stopped."""
        from hyperfit.web.installed import PLAYGROUND, check_installed

        check_installed("hyperfit play", PLAYGROUND)
        from hyperfit.play.serve import serve_playground

        settings = PlaySettings(**{field.name: getattr(self, field.name) for field in fields(PlaySettings)})
        serve_playground(self.run_folder, settings, lambda line: print(line, flush=True))
