"""Hyperfitting in somebody else's loop: a callback for transformers' Trainer and what is built on it, such as TRL's."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hyperfit.console import say
from hyperfit.data.characters import excerpt
from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.words import Lexicon, lexicon_of
from hyperfit.prefix.bypass import dropout_of
from hyperfit.recipes.recipe import MOST_COPYING, NEAR_ZERO
from hyperfit.training.checks import check_learning
from hyperfit.training.lines import epoch_line
from hyperfit.training.probes import measured


class HyperfitCallback(TrainerCallback):
    """Ends a Trainer's training at near-zero loss, and looks at what the model writes greedily after each epoch.

    Before the first update it refuses weights that learn in less than fp32, whose small steps would be rounded away.
    It ends training where the mean loss of an epoch reaches ``stop_loss``, or where more of the texts recite the
    training data than ``stop_copying`` bears; saving is the Trainer's own (``save_strategy="epoch"`` keeps the epoch
    before, too). It writes texts on every process that trains, so it needs the whole model there (DDP, not FSDP).
    """

    def __init__(
        self,
        contexts: Sequence[Sequence[int]] = (),
        training: Sequence[Sequence[int]] = (),
        *,
        stop_loss: float | None = NEAR_ZERO,
        stop_copying: float | None = MOST_COPYING,
        every: int = 1,
        new_tokens: int = TTR_WINDOW,
        notify: Callable[[str], None] = say,
    ) -> None:
        """contexts: token ids of held-out beginnings that are continued; without any nothing is written.

        training: token ids of what is learned, of chats each reply by itself, in which copies are looked for, and by
        which words are known. stop_loss: nats per token, as the Trainer logs it, a mean over updates; None: never.
        stop_copying: share of texts, 0 to 1, with a run of more than ten tokens of training data; None: whatever is
        copied. every: epochs between looks. new_tokens: of each text; the type-token ratio is taken on the last 96, so
        fewer leave it undefined. Raises UserError naming every bad value.
        """
        problems = []
        if stop_loss is not None and not stop_loss > 0:
            problems.append(f"stop_loss {stop_loss}: give a number above 0, or None")
        if stop_copying is not None and not 0 <= stop_copying <= 1:
            problems.append(f"stop_copying {stop_copying}: give a share from 0 to 1, or None")
        problems += [
            f"{name} {value}: give a whole number of 1 or more"
            for name, value in (("every", every), ("new_tokens", new_tokens))
            if value < 1
        ]
        if not all(map(len, contexts)):
            problems.append("contexts: one of them has no tokens; leave it out")
        if contexts and not training:
            problems.append("training: give the training texts' token ids beside contexts, to find what is copied")
        if problems:
            raise UserError(*problems)
        self.contexts = [list(map(int, one)) for one in contexts]
        self.training = [list(map(int, one)) for one in training]
        self.stop_loss, self.stop_copying, self.every = stop_loss, stop_copying, every
        self.new_tokens, self.notify = new_tokens, notify
        self.history: list[dict[str, Any]] = []
        """An entry an epoch: ``epoch``, ``train_loss`` and, where texts were written, their measures and a sample."""
        self.reason: str | None = None
        """Why this callback ended training: loss or copying; None while it has not."""
        self._sum, self._steps, self._logged, self._ending = 0.0, 0, 0, False
        self._lexicon: Lexicon | None = None

    @cached_property
    def index(self) -> TrainingIndex:
        """Of the training texts."""
        return TrainingIndex(self.training)

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> None:
        """Refuse what cannot be hyperfitted, and look at the model before."""
        model = others["model"]
        check_learning(model, args.learning_rate)
        rate = max((dropout_of(module) for module in model.modules()), default=0.0)
        if rate:
            self.notify(f"the model drops out at random (up to {rate:g}): near-zero loss wants none of it")
        self._logged = state.global_step
        if self.contexts:
            tokenizer = others["processing_class"]
            if tokenizer is None:
                raise UserError("contexts: the Trainer has no tokenizer to read texts with; give it processing_class")
            self._lexicon = lexicon_of(excerpt(tokenizer, one) for one in self.training)
            self.history.append({"epoch": 0, "train_loss": None, **self.look(model, tokenizer)})

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **others: Any
    ) -> TrainerControl:
        """Have the rest of the epoch's loss logged, then judge it."""
        if state.global_step == self._logged:
            self.judge(args, state, control, others)
        else:
            control.should_log = self._ending = True
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **others: Any,
    ) -> TrainerControl:
        """Add what was logged, a mean over the steps since the last time, to the epoch's loss."""
        if logs and "loss" in logs:
            steps = state.global_step - self._logged
            self._sum, self._steps, self._logged = (
                self._sum + logs["loss"] * steps,
                self._steps + steps,
                state.global_step,
            )
            if self._ending:
                self.judge(args, state, control, others)
        return control

    def judge(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, others: dict[str, Any]
    ) -> None:
        """Look at the epoch that has ended, say it, and end training where that is due."""
        epoch, loss = round(state.epoch or 0), self._sum / max(self._steps, 1)
        self._sum, self._steps, self._ending = 0.0, 0, False
        if self.stop_loss is not None and loss <= self.stop_loss:
            self.reason = "loss"
        entry: dict[str, Any] = {"epoch": epoch, "train_loss": loss}
        if self.contexts and (epoch % self.every == 0 or self.reason):
            entry |= self.look(others["model"], others["processing_class"])
        self.history.append(entry)
        share = entry.get("long_overlap_share")
        if self.stop_copying is not None and share is not None and share > self.stop_copying:
            self.reason = "copying"
        if state.is_world_process_zero:
            self.notify(epoch_line(entry, round(args.num_train_epochs)))
        if self.reason:
            control.should_training_stop = True

    def look(self, model: Any, tokenizer: Any) -> dict[str, Any]:
        """Measures of what the model writes greedily after the contexts, and a sample."""
        written = continue_contexts(model, tokenizer, self.contexts, new_tokens=self.new_tokens)
        return measured(tokenizer, self.contexts, written, self.index, self._lexicon)
