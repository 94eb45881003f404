"""What all mappings of the file have in common: a closed set of keys, and values that stay."""

from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict

_TEXTS: Final = {
    "missing": "is missing",
    "string_type": "must be text",
    "mapping_type": "must be a mapping of keys to values",
    "dict_type": "must be a mapping of keys to values",
    "model_type": "must be a mapping of keys to values",
    "tuple_type": "must be a list",
    "string_pattern_mismatch": "must be a name of lower-case letters, digits and hyphens",
    "extra_forbidden": "unknown key",
}


def said_of(fault: Any) -> str:
    """What one of pydantic's errors says, in the words of this program."""
    cause = fault.get("ctx", {}).get("error")
    text = str(cause) if isinstance(cause, ValueError) else _TEXTS.get(fault["type"])
    said = str(fault["msg"]).replace("Input should be", "must be")
    return text or said.replace("String should", "must")


class Section(BaseModel):
    """A mapping of the file with a closed set of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    inferred: ClassVar[frozenset[str]] = frozenset()
    """Fields that the loader fills in and that are no keys of the file."""

    @classmethod
    def keys(cls) -> tuple[str, ...]:
        """The keys as they stand in the file."""
        return tuple(
            field.alias or name
            for name, field in cls.model_fields.items()
            if name not in cls.inferred
        )
