"""Generates Python types from a schema, and reads messages with them.

python_types.py SCHEMA ACCEPTED REFUSED FOLDER

ACCEPTED has one message in each line. REFUSED has {"because","message"} in each line.
"""

import json
import re
import subprocess
import sys
from pathlib import Path


def main(schema: Path, accepted: Path, refused: Path, folder: Path) -> int:
    module = folder / "messages.py"
    command = [sys.executable, "-m", "datamodel_code_generator", "--input", schema, "--output", module]
    options = ["--input-file-type", "jsonschema", "--output-model-type", "pydantic_v2.BaseModel"]
    # unknown keys are allowed everywhere, and kept
    options += ["--extra-fields", "allow", "--formatters", "builtin"]
    subprocess.run(command + options, check=True)
    if numbered := re.findall(r"^class (\w+\d)\b", module.read_text(), re.MULTILINE):
        print(f"types without a name of their own: {numbered}", file=sys.stderr)
        return 1

    if "discriminator='type'" not in module.read_text():
        print("it is not a discriminated union", file=sys.stderr)
        return 1

    sys.path.insert(0, str(folder))
    from messages import ClusterMessage
    from pydantic import ValidationError

    failures = []
    messages = lines(accepted)
    for line in messages:
        try:
            message = ClusterMessage.model_validate_json(line, strict=True)
        except ValidationError as error:
            failures.append(f"refused: {line[:200]}: {error}")
            continue
        written = message.model_dump_json(exclude_unset=True, by_alias=True)
        if doubles(written) != doubles(line):
            failures.append(f"{line[:200]} became {written[:200]}")

    wrong = [json.loads(line) for line in lines(refused)]
    for case in wrong:
        try:
            ClusterMessage.model_validate_json(json.dumps(case["message"]), strict=True)
            failures.append(f"accepted, although {case['because']}")
        except ValidationError as error:
            # A message of one type is not tried as all others.
            kinds = {str(each["loc"][0]) for each in error.errors() if each["loc"]}
            if len(kinds) > 1:
                failures.append(f"{case['because']}: judged as {kinds}")

    for failure in failures:
        print(failure, file=sys.stderr)
    print(json.dumps({"accepted": len(messages), "refused": len(wrong)}))
    return 1 if failures else 0


def lines(file: Path) -> list[str]:
    # not splitlines, for which U+2028 ends a line
    return file.read_text(encoding="utf-8").strip().split("\n")


def doubles(text: str):
    """JSON with JavaScript's numbers."""
    return json.loads(text, parse_int=float)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
