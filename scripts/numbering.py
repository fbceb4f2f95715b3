#!/usr/bin/env python3
"""Writes crates/core/data/zones.txt and emergency.txt: where a telephone number lies, and whom nobody dials.

Both come from the data of the package `phonenumbers` (Apache-2.0, Google's libphonenumber).
Needs: pip install phonenumbers==9.0.33 (the version that the crate `phonenumber` in Cargo.lock is built from).
"""

import pathlib
import re

import phonenumbers
from phonenumbers import PhoneMetadata
from phonenumbers.shortnumberinfo import SUPPORTED_SHORT_REGIONS
from phonenumbers.tzdata import TIMEZONE_DATA

WANTED = "9.0.33"
DATA = pathlib.Path(__file__).parent.parent / "crates/core/data"
# Longer ones are no emergency numbers; enumerating them would take for ever.
LONGEST_EMERGENCY = 6


def zones():
    """One line a set of zones: `Zone,Zone|prefix prefix...`, what a shorter prefix says already left out."""
    kept, by_zones = {}, {}
    for prefix in sorted(TIMEZONE_DATA, key=lambda p: (len(p), p)):
        here = ",".join(sorted(z for z in TIMEZONE_DATA[prefix] if z != "Etc/Unknown"))
        shorter = (prefix[:n] for n in range(len(prefix) - 1, 0, -1))
        if next((kept[p] for p in shorter if p in kept), "") != here:
            kept[prefix] = here
            by_zones.setdefault(here, []).append(prefix)
    return [f"{names}|{' '.join(sorted(prefixes))}" for names, prefixes in sorted(by_zones.items())]


def emergency():
    """One line a country: `FR 112 15 17 18`."""
    lines = []
    for country in sorted(SUPPORTED_SHORT_REGIONS):
        known = PhoneMetadata.short_metadata_for_region(country).emergency
        if known is None or known.national_number_pattern is None:
            continue
        pattern = re.compile(known.national_number_pattern)
        numbers = [
            number
            for length in known.possible_length
            if length <= LONGEST_EMERGENCY
            for number in (f"{i:0{length}d}" for i in range(10**length))
            if pattern.fullmatch(number)
        ]
        lines.append(f"{country} {' '.join(sorted(numbers))}")
    return lines


def main():
    if phonenumbers.__version__ != WANTED:
        raise SystemExit(f"phonenumbers {phonenumbers.__version__} is installed, {WANTED} is wanted")
    for name, what, lines in [
        ("zones.txt", "Time zones by the beginnings of numbers", zones()),
        ("emergency.txt", "Emergency numbers by country", emergency()),
    ]:
        head = f"# {what}, from phonenumbers {WANTED} (Apache-2.0). Written by scripts/numbering.py.\n"
        (DATA / name).write_text(head + "\n".join(lines) + "\n")
        print(f"{DATA / name}: {len(lines)} lines")


if __name__ == "__main__":
    main()
