"""The shape of what goes over the local socket: JSON, and nothing to import for it."""

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
Document = dict[str, Json]
