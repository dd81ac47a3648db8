"""An operation on its way over a connection of one's own: what `Pipe` (asyncio) and `Line` (blocking) have in common."""

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import hiredis
from redis.exceptions import RedisError, ResponseError

from shared.errors import StoreUnavailable
from shared.store.calls import Batch, Call, Operation, Step, whole, words

T = TypeVar("T")

#: The server that we talk to is not the primary any more: ask again who is.
WRONG_SERVER: Final = "READONLY"


class Running(Generic[T]):
    """An operation on its way. `done` is called once: with its result, or with `StoreUnavailable`."""

    __slots__ = ("_operation", "calls", "done", "results")

    def __init__(self, operation: Operation[T], done: Callable[[T | Exception], None]) -> None:
        self._operation = operation
        self.done: Callable[[T | Exception], None] | None = done
        self.results: list[Any] = []
        self.calls = self._calls(next(operation))

    def packed(self, *, in_full: bool = False) -> bytes:
        """The step's calls as sent."""
        packed = [hiredis.pack_command(tuple(words(call, in_full=in_full))) for call in self.calls]
        return packed[0] if len(packed) == 1 else b"".join(packed)

    @property
    def refusals(self) -> list[str]:
        """What the server said where it refused a call of the step."""
        return [str(each) for each in self.results if isinstance(each, hiredis.ReplyError)]

    def go_on(self) -> bool:
        """Give the operation its step's results; whether it has another step."""
        errors = [each for each in self.results if isinstance(each, Exception)]
        operation = self._operation
        try:
            step = operation.throw(ResponseError(str(errors[0]))) if errors else operation.send(self.results)
        except StopIteration as stop:
            self.end(stop.value)
            return False
        except RedisError as refusal:
            self.end(StoreUnavailable(f"Redis: {refusal}"))
            return False
        except Exception as bug:
            self.end(bug)
            return False
        self.calls, self.results = self._calls(step), []
        return True

    def end(self, result: T | Exception) -> None:
        """Tell what came of it, unless it was given up."""
        done, self.done = self.done, None
        if done is not None:
            done(result)

    def give_up(self) -> None:
        """Nobody waits any longer: what was sent may still be carried out."""
        self.done = None

    @staticmethod
    def _calls(step: Step) -> list[Call]:
        return [whole(each) if isinstance(each, Batch) else each for each in step]
