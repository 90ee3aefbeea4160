"""The pages name files that exist, and options that the configs have."""

import re
import shlex
from pathlib import Path

import pytest

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.main import argument_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), ROOT / "llms.txt", *ROOT.glob("docs/*.md"), *ROOT.glob("projects/*/*.md")]
)
RECIPE = "configs/deformable_detr/deformable_detr_pp_r50_12ep.py"


def page_name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def training_commands(page: Path) -> list[list[str]]:
    """The arguments of every complete `train_net.py` or `hdetr-d2 train` command in the page's
    shell blocks.
    """
    commands = []
    for block in re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            script = "train" if words[:1] == ["hdetr-d2"] else "train_net.py"
            if script in words and "[key=value" not in words:
                arguments = words[words.index(script) + 1 :]
                commands.append([RECIPE if word == "CONFIG" else word for word in arguments])
    return commands


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def headings(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings, which are all different here."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    found = re.findall(r"^#+ +(.+)$", re.sub(r"\]\([^)]*\)", "]", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / file if file else page, anchor) for file, anchor in links]
    assert [anchor for target, anchor in targets if anchor not in headings(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_named_scripts_and_configs_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    pattern = r"\b((?:projects/\w+/)?(?:configs|tools|tests)/[\w/*]+\.py)\b"
    roots = (ROOT, page.parent)  # the page of a project names its own files, too
    paths = set(re.findall(pattern, text))
    assert [path for path in paths if not any(list(root.glob(path)) for root in roots)] == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_training_commands_name_options_that_exist(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for arguments in training_commands(page):
        parsed = argument_parser().parse_args(arguments)
        load_config(parsed.config_file, parsed.opts)


def test_the_training_page_has_commands() -> None:
    assert len(training_commands(ROOT / "docs" / "TRAINING.md")) >= 6
