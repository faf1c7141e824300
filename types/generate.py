"""Writes the types of the messages for Go, C# and Java from protocol/schema.

    python3 types/generate.py           writes the files
    python3 types/generate.py --check   fails if a file is not what it would write

It needs nothing but Python. The types for Python and TypeScript have commands of their own, which
--all runs too: python/scripts/generate_messages.py and `npm run generate` in types/typescript.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from generator import csharp, go, java, model

TYPES = Path(__file__).resolve().parent
ROOT = TYPES.parent
FILES = {
    "go/messages.go": go.write,
    "csharp/Messages.cs": csharp.write,
    "java/socketio/pg/messages/Message.java": java.write,
}


def main(arguments: list[str]) -> int:
    protocol = model.read(ROOT / "protocol" / "schema")
    check = [argument for argument in arguments if argument == "--check"]
    failed = 0
    for path, write in FILES.items():
        target, text = TYPES / path, write(protocol)
        if not check:
            target.write_text(text, encoding="utf-8")
        elif not target.exists() or target.read_text(encoding="utf-8") != text:
            failed = 1
            print(f"types/{path} is not what protocol/schema says: run `python3 types/generate.py`", file=sys.stderr)
    if "--all" in arguments:
        python = [sys.executable, "python/scripts/generate_messages.py", *check]
        failed |= subprocess.run(python, cwd=ROOT, check=False).returncode
        node = ["node", "scripts/generate.mjs", *check]
        failed |= subprocess.run(node, cwd=TYPES / "typescript", check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
