"""Pin images by digest: `name:tag` becomes `name:tag@sha256:...` where a file names an image.

    make pin-images    (python3 tools/images.py)    needs docker with buildx, and the registries
    python3 tools/images.py --check                 name what has no digest; exit 1 if there is any

A tag may point to another image tomorrow. A digest cannot; so renewing images, which brings their
security updates, is a commit that shows what changed.
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = (ROOT / "Dockerfile", ROOT / "docker-compose.yml")
# an image of somebody else's; ours have no tag
IMAGE = re.compile(
    r"(?P<before>^ARG PYTHON_IMAGE=|\bimage: |\bWORKER_BASE(?:=|: )\"?)"
    r"(?P<tag>[\w./-]+:[\w.-]+)(?P<digest>@sha256:[0-9a-f]{64})?",
    re.MULTILINE,
)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def main(words: list[str]) -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in FILES}
    images = [match for text in texts.values() for match in IMAGE.finditer(text)]
    if words == ["--check"]:
        unpinned = sorted({match["tag"] for match in images if not match["digest"]})
        sys.exit(f"no digest: {', '.join(unpinned)}; run make pin-images" if unpinned else 0)
    digests = {tag: digest_of(tag) for tag in sorted({match["tag"] for match in images})}
    for file, text in texts.items():
        file.write_text(pinned(text, digests), encoding="utf-8")


def pinned(text: str, digests: dict[str, str]) -> str:
    """The text with each image's digest behind its tag, in the place of an older one."""
    return IMAGE.sub(lambda m: f"{m['before']}{m['tag']}@{digests[m['tag']]}", text)


def digest_of(tag: str) -> str:
    """The digest that the registry gives for a tag now, of all its platforms together."""
    template = ("--format", "{{.Manifest.Digest}}")
    command = ["docker", "buildx", "imagetools", "inspect", tag, *template]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    digest = done.stdout.strip()
    if done.returncode != 0 or not DIGEST.fullmatch(digest):
        raise SystemExit(
            f"no digest of {tag}: docker buildx imagetools exited {done.returncode} and said "
            f"{(done.stderr or done.stdout).strip()!r}; nothing was written"
        )
    return digest


if __name__ == "__main__":
    main(sys.argv[1:])
