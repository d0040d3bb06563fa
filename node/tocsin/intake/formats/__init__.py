"""Formats: how records are read, by the name used in `tocsin import FORMAT`."""

from collections.abc import Mapping

from tocsin.intake.formats.csv import CSV
from tocsin.intake.formats.record import BadRecord, Format, Read, Reading, SourceRecord, read_paths
from tocsin.intake.formats.veris import VERIS

FORMATS: Mapping[str, Format] = {format_.name: format_ for format_ in (VERIS, CSV)}

__all__ = ["FORMATS", "BadRecord", "Format", "Read", "Reading", "SourceRecord", "read_paths"]
