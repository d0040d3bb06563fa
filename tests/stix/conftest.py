"""Generated examples have no deadline: on a busy machine the first one also compiles the schemas."""

from hypothesis import settings

settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")
