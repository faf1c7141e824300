"""Validates with jsonschema: validators.py FOLDER CASES

FOLDER has the schemas. CASES has {"document","value","valid","says"?} in each line: whether the
value is valid by that document, and a text that the validator says of it otherwise.

The documents are once taken from the folder, by their `$id`s, and once from a server on loopback,
by their addresses. Nothing else is fetched.
"""

import json
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.retrieval import to_cached_resource


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


def main(folder: Path, cases: Path) -> int:
    # U+2028 does not end a line
    parsed = [json.loads(line) for line in cases.read_text(encoding="utf-8").strip().split("\n")]
    documents = [json.loads(path.read_text()) for path in folder.glob("*.json") if path.name != "asyncapi.json"]
    loaded = Registry().with_resources([(each["$id"], Resource.from_contents(each)) for each in documents])
    failures = list(judge(parsed, lambda document: Draft202012Validator({"$ref": document}, registry=loaded)))

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/{folder.name}/"

    @to_cached_resource()
    def fetch(uri: str) -> str:
        assert uri.startswith(address), f"{uri} is not where the documents are"
        with urlopen(uri) as response:
            return response.read().decode()

    served = Registry(retrieve=fetch)
    few = {json.dumps([case["document"], case["value"].get("type") if isinstance(case["value"], dict) else None, case["valid"]]): case for case in parsed}
    failures += judge(few.values(), lambda document: Draft202012Validator({"$ref": address + document}, registry=served))
    server.shutdown()

    for failure in failures:
        print(failure, file=sys.stderr)
    valid = sum(case["valid"] for case in parsed)
    print(json.dumps({"valid": valid, "invalid": len(parsed) - valid, "served": len(few)}))
    return 1 if failures else 0


def judge(cases, validator_of):
    validators = {}
    for case in cases:
        document = case["document"]
        validator = validators.setdefault(document, validator_of(document))
        errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(case["value"])]
        if bool(errors) == case["valid"]:
            yield f"{document}: {errors or 'accepted'}: {json.dumps(case['value'])[:300]}"
        if "says" in case and not any(case["says"] in error for error in errors):
            yield f"{document}: not {case['says']}, but {errors}"


if __name__ == "__main__":
    sys.exit(main(*(Path(argument).resolve() for argument in sys.argv[1:])))
