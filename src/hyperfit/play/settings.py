"""How a playground is served, and what may be asked of it."""

from dataclasses import dataclass

from hyperfit.errors import UserError
from hyperfit.generation.settings import too_small, useless_text_column
from hyperfit.recipes.recipe import Precision


@dataclass(frozen=True, kw_only=True)
class PlaySettings:
    """How a playground is served, and what may be asked of it. Raises UserError naming every bad field."""

    contexts: tuple[str, ...] = ()
    """Texts whose beginnings are offered: files, folders, hub data sets or builtin:NAME, of which what was not trained
    on is used. Empty: the held-out texts of the run's own data, and the built-in ones."""
    text_column: str | None = None
    """Column that holds the text or the chat, of --contexts that are tables. None: "text", else "messages" or
    "conversations", or the only one."""
    most_contexts: int = 24
    """Most beginnings that are offered, as many of each source."""
    context: int = 32
    """Tokens of a beginning that is offered; what is typed may be longer."""
    longest: int = 512
    """Most tokens of a text that is continued."""
    new_tokens: int = 256
    """Most new tokens of a continuation; fewer where the model knows fewer positions."""
    host: str = "127.0.0.1"
    """Address of this machine to serve at; only one that no other machine reaches."""
    port: int = 8766
    """Port to serve at; 0: any that is free."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """fp32, or bf16 as in training under it; auto: fp32 on the CPU, else as training chooses."""

    def __post_init__(self) -> None:
        problems = too_small(self, most_contexts=1, context=1, longest=1, new_tokens=1, port=0)
        if self.text_column is not None and not self.contexts:
            problems.append(useless_text_column("--contexts"))
        if problems:
            raise UserError(*problems)
