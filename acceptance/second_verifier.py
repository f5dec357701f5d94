"""A second verifier, written from docs/format.md alone. It exits with 0 (verified), 1 (tampered), 2 (unverifiable)."""

import argparse
import base64
import hashlib
import json
import re
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT, PREFIX = "enforcer/ledger/v1", "dev.enforcer."
MAX_LEAF, MAX_INTEGER, MAX_DEPTH, MAX_NOTE, MAX_SIGNATURES, MAX_SIZE = 65_535, 2**53 - 1, 64, 1_000_000, 100, 2**63 - 1
CHECKPOINT = r"((.+)\n(0|[1-9][0-9]{0,18})\n(.+)\n(?:.+\n)*)\n((?:— [^\s+]+ \S+\n)+)"
TILE = "([0-9]|[1-5][0-9]|6[0-3])/((?!x000/)(?:x[0-9]{3}/)*[0-9]{3})"
REPORT = ["verdict", "integrity", "anchoring", "entries", "head", "sealed_to", "anchored_to", "unanchored", "findings"]
EVENT_ID = "(-|[A-Za-z0-9][A-Za-z0-9._-]{0,63})/[A-Za-z0-9._-]{1,64}"
# Members of objects, `?` if they may be absent, `~` if absent or null, with their kind where it is no text: `[kind]` is
# an array, `{kind}` an object of such; `+` is what all events have, `*` what leased ones have too, `@` what words do.
WORD = "phase attempt_id principal nonce expires:int statement? signature? fingerprint? evidence?:{text} tree? reason?"
FORMS = """
identity           format id key~ origin ; line event:event prev seq:int task_prev~ task_seq~:int ts:int v:int
event              specversion id source subject? type data:object
refusal            code message phase? artifact? fix? ; claim holder token:int how? previous?
accepted           artifact digest size:int origin? reaffirmed?:bool ; made artifact digest size:int reader?
sealed             session count:int start:int end:int digest ; predecessor origin size:int root key reason checkpoint?
notes              coalesced?:int guard?:[sealed] refusals~:sealed stalled_minutes?:int clock_back_us?:int
                   cache_rejected? margin_lost?:[text]
ledger.created     + version predecessor~:predecessor ; evidence.restored + restored:{text} replaced:{text}
ledger.recovered   + kind segment offset:int size:int digest quarantine?
key.rotated        + old new seq:int cap:int old_signature new_signature
task.opened        + title process digest phase attempt_id base? authoring?:[text]
phase.advanced     * start to? attempt_id? completed?:bool evidence?:[accepted] warnings?:[refusal] tree? commit?
                   labels?:[text] approved?:[text] risks?:[text]
phase.backtracked  * start to reason attempt_id ; task.abandoned * phase reason
command.refused   * command stage phase refusals:[refusal] to? attested?:{text} escalation?:[text] reasons? observation?
tool.refused       + phase tool refusals:[refusal] capabilities?:[text] paths?:[text] call? session? text?
                   escalation?:[text] forbidden?:bool
lease.claimed      + holder token:int ; lease.taken_over + holder token:int previous
lease.released     + holder token:int forced?:bool reason?
prompt.attested    * phase attempt_id parts:{text} first?:[text] drift?:[text]
baseline.accepted  + phase principal parts:{text} reason approver dropped?:[text]
process.adopted    + process digest previous reason approver authoring?:[text] difference?:[text] weakenings?:[text]
                   approved?:[text] labels?:[text]
run.observed       * phase attempt_id observation configured?:bool made?:[made] status?:int signal? duration_us?:int
                   tree? sandbox? labels?:[text]
approval.granted   @ process? ; approval.rejected @ ; rules.waived @ artifact rules:[text]
""".replace(" ; ", "\n").replace(" *", " + token?:int lease~:claim")
FORMS = FORMS.replace(" @", f" + {WORD}").replace(" +", " actor request? notes~:notes")
FORM, MEMBER = r"(?m)^(\S+)((?: .+\n)+)", r"(\w+)([?~]?)(?::(\S+))?"
MEMBERS = {form: {name: of for name, *of in re.findall(MEMBER, text)} for form, text in re.findall(FORM, FORMS)}
TYPES = {PREFIX + form for form in MEMBERS if "." in form}
SCALARS = {"text": str, "int": int, "bool": bool, "object": dict}


def fits(value, kind):
    """Whether a value is of a kind. An object with a member that is in no table is of a later release: not judged."""
    if kind in SCALARS:
        return type(value) is SCALARS[kind]
    if kind[0] == "[":
        return type(value) is list and all(fits(item, kind[1:-1]) for item in value)
    if type(value) is not dict or kind[0] == "{":
        return type(value) is dict and all(fits(item, kind[1:-1]) for item in value.values())
    return not value.keys() <= MEMBERS[kind].keys() or all(
        mark != "" if name not in value else fits(value[name], inner or "text") or (mark == "~" and value[name] is None)
        for name, (mark, inner) in MEMBERS[kind].items()
    )


def parse_json(data):
    """The value that stands in `data`, and whether in canonical form; (None, False) where it is outside the profile."""
    try:  # `int` raises at whatever is no integer: a float, NaN, and the word for a member that stands twice.
        value = json.loads(data.decode(), object_pairs_hook=unique, parse_float=int, parse_constant=int)
        canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None, False
    return (value, canonical == data) if within_profile(value, MAX_DEPTH) else (None, False)


def unique(pairs):
    return dict(pairs) if len(dict(pairs)) == len(pairs) else int("twice")


def within_profile(value, depth):
    if type(value) in (dict, list):
        names, items = (value, value.values()) if type(value) is dict else ((), value)
        return depth > 0 and all(map(str.isascii, names)) and all(within_profile(item, depth - 1) for item in items)
    return type(value) is not int or abs(value) <= MAX_INTEGER


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def from_base64(text):
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def public_key(vkey, origin):
    """A list of the key id and the public key of an Ed25519 verifier key of this origin; empty where it is none."""
    p, order_8 = 2**255 - 19, 2707385501144840649318225287225658788936804267575313519463743609750303402022
    raw = from_base64(vkey.split("+", 2)[-1])
    key_id, y = sha256(f"{origin}\n".encode(), raw)[:4], int.from_bytes(raw[1:], "little") % 2**255
    proper = len(raw) == 33 and raw[0] == 1 and vkey.startswith(f"{origin}+{key_id.hex()}+")
    weak = y >= p or y in (0, 1, p - 1, order_8, p - order_8)  # Of low order: anyone can sign for it.
    return [(key_id, raw[1:])] if proper and not weak else []


def signed(public, signature, message):
    try:
        return Ed25519PublicKey.from_public_bytes(public).verify(signature, message) is None
    except (InvalidSignature, ValueError):
        return False


def open_checkpoint(data, origin, keys):
    """Size and root of a checkpoint, and whether the signatures of keys that count hold; ValueError where none is."""
    note = re.fullmatch(CHECKPOINT, data.decode())
    if not note or note[2] != origin or len(data) > MAX_NOTE or re.search("[\0-\x09\x0b-\x1f]", note[0]):
        raise ValueError("it is no checkpoint of this ledger")
    text, size, root, lines = note[1].encode(), int(note[3]), from_base64(note[4]), note[5].splitlines()
    signatures = [(name, from_base64(value)) for _, name, value in map(str.split, lines)]
    counts = {key_id: public for (key_id, public), first, last in keys if first <= size <= last}
    meant = [(counts[value[:4]], value[4:]) for name, value in signatures if name == origin and value[:4] in counts]
    proper = len(root) == 32 and len(lines) <= MAX_SIGNATURES and min(len(value) for _, value in signatures) > 4
    if not meant or not proper or size > MAX_SIZE:
        raise ValueError("no key that counts at its size has signed it")
    return size, root, all(signed(public, value, text) for public, value in meant)


class Verification:
    """What is found of one ledger. `integrity` is what its own files say; what anchors say is part of the `verdict`."""

    def __init__(self, folder, pinned=(), anchors=()):
        self.folder, self.verdict, self.findings = Path(folder), "verified", []
        self.entries, self.end, self.head, self.ts = 0, 0, None, 0  # `end` is the number of the line that is next.
        self.leaves, self.roots, self.whole = [], {}, True  # Leaf hashes; whether they are those of all the lines.
        self.lost, self.tasks, self.ids = 0, {}, set()  # `lost` counts what could not be read or judged.
        self.origin, self.vkey, self.keys = None, None, []  # (id, public key), smallest and largest size of each key.
        if self.read_identity():
            self.read_segments()
            self.judge_tiles()
        self.judge_heads(pinned, map(Path, anchors))

    def find(self, word, seq, message):
        self.verdict = min(self.verdict, word)  # The worse word happens to be the first in the alphabet.
        self.lost += word == "unverifiable"
        self.findings.append({"seq": seq, "message": message})

    def read_identity(self):
        """Whose ledger it is; false where there is nothing to go by."""
        try:
            data = (self.folder / "ledger.json").read_bytes()
        except OSError as fault:
            return self.find("unverifiable", None, f"ledger.json cannot be read: {fault}")
        self.link = sha256(f"{FORMAT}\n".encode(), data).hex()  # What the line that is next has as `prev`.
        who, canonical = parse_json(data.removesuffix(b"\n"))
        if type(who) is dict and type(who.get("format")) is str and who["format"] != FORMAT:
            return self.find("unverifiable", None, "ledger.json is of another format")
        proper = canonical and data[-1:] == b"\n" and fits(who, "identity") and who.keys() == MEMBERS["identity"].keys()
        if proper and re.fullmatch("[0-9a-f]{32}", who["id"]) and who["origin"] == f"enforcer/{who['id']}":
            self.origin, self.vkey = who["origin"], who["key"]
            self.keys = [[key, 0, MAX_SIZE] for key in public_key(self.vkey or "", self.origin)]
        else:
            self.find("tampered", None, "ledger.json is not of its form")
        return True

    def read_segments(self):
        paths = sorted(path for path in self.folder.glob("seg/*") if re.fullmatch(r"[0-9]{20}\.jsonl", path.name))
        for path in paths:
            if int(path.stem) < self.end:
                self.find("tampered", self.end, f"{path.name} begins with a line that stood before")
            if int(path.stem) > self.end:
                self.find("unverifiable", self.end, f"lines are missing before {path.name}")
                self.end, self.link, self.whole = int(path.stem), None, False
            try:
                *leaves, torn = path.read_bytes().split(b"\n")
            except OSError as fault:
                self.find("unverifiable", self.end, f"{path.name} cannot be read: {fault}")
                leaves, torn, self.whole, self.end = [], b"", False, self.end if path != paths[-1] else MAX_SIZE
            for leaf in leaves:
                self.read_line(leaf)
            if torn:
                self.find("tampered" if path != paths[-1] else "verified", self.end, f"{path.name} ends within a line")
        if not self.entries:
            self.find("unverifiable", None, "there are no lines")

    def read_line(self, leaf):
        """Take the line that is next, and hold it against what it must be."""
        link, digest, (line, canonical) = self.link, sha256(b"\0", leaf), parse_json(leaf)
        self.head = self.link = digest.hex()
        self.leaves += [digest] if self.whole else []
        if len(leaf) <= MAX_LEAF and type(line) is dict and type(line.get("v")) is int and line["v"] != 1:
            self.find("unverifiable", self.end, "the line is of another version")
        else:
            wrongs = {"of another form": len(leaf) > MAX_LEAF or not canonical} | self.wrongs(line, link)
            for wrong in (name for name, is_so in wrongs.items() if is_so):
                self.find("tampered", self.end, f"the line is {wrong}")
        self.entries, self.end = self.entries + 1, self.end + 1

    def wrongs(self, line, link):
        """What can be wrong with a line, by its form and by the lines before it, and whether it is so."""
        event = line["event"] if fits(line, "line") and line.keys() == MEMBERS["line"].keys() else {}
        proper = fits(event, "event") and event.keys() | {"subject"} == MEMBERS["event"].keys() and line["ts"] >= 0
        name, task = proper and re.fullmatch(EVENT_ID, event["id"]), proper and event.get("subject")
        if not name or name[1] != (task or "-") or task in ("", "-") or event["specversion"] != "1.0":
            return {"of another form": True}
        due, lost = self.tasks.get(task, ((None, 1), 0)) if task else ((None, None), self.lost)
        data, kind, known = event["data"], event["type"].removeprefix(PREFIX), event["type"] in TYPES
        rotates = known and kind == "key.rotated" and fits(data, kind) and data.keys() <= MEMBERS[kind].keys()
        wrongs = {
            "of another ledger": event["source"] != self.origin,
            "not the one that is next": line["seq"] != self.end or line["prev"] != (link or line["prev"]),
            "older than the one before": line["ts"] < self.ts,
            "not the one that is next of its task": (line["task_prev"], line["task_seq"]) != due and lost == self.lost,
            "known by its event.id": task and event["id"] in self.ids,
            "of another form than its type": known and not fits(data, kind),
            "no rotation that holds": rotates and not self.rotate(**data),
        }
        self.tasks[task], self.ts = ((self.head, (line["task_seq"] or 0) + 1), self.lost), line["ts"]
        self.ids.add(event["id"])
        return wrongs

    def rotate(self, old, new, seq, cap, old_signature, new_signature, **_):
        """Pass on to a new key, if it and the one in force have both signed for it."""
        statement = "".join(f"{x}\n" for x in ("enforcer/key-rotation/v1", self.origin, old, new, seq, cap)).encode()
        both = [(public_key(old, self.origin), old_signature), (public_key(new, self.origin), new_signature)]
        held = all(key and signed(key[0][1], from_base64(signature), statement) for key, signature in both)
        held = held and both[1][0][0] not in [key for key, *_ in self.keys]
        held = held and seq == self.end < cap and bool(old == self.vkey or self.lost)
        if held and old == self.vkey:  # Else the rotation before is among what was lost, and nobody knows who may sign.
            self.keys[-1][2], self.vkey = cap, new
            self.keys.append([*both[1][0], seq + 1, MAX_SIZE])
        return held

    def root(self, start, size):
        """The root of `size` leaves from `start` on, as in RFC 6962, section 2.1."""
        if size < 2:
            return self.leaves[start] if size else sha256()
        if (start, size) not in self.roots:
            k = 1 << (size - 1).bit_length() - 1  # The largest power of two below size.
            self.roots[start, size] = sha256(b"\1", self.root(start, k), self.root(start + k, size - k))
        return self.roots[start, size]

    def judge_tiles(self):
        for path in sorted(self.folder.glob("tile/**/*")):
            name = re.fullmatch(TILE, path.relative_to(self.folder / "tile").as_posix())
            if name and path.is_file() and path.stat().st_size == 256 * 32:
                width, index = 256 ** int(name[1]), int(re.sub("[x/]", "", name[2]))
                starts = range(index * 256 * width, (index + 1) * 256 * width, width)
                tile = starts.stop <= len(self.leaves) and b"".join(self.root(start, width) for start in starts)
                if tile and path.read_bytes() != tile:
                    self.find("tampered", starts[0], f"{path} is not the tile of these lines")

    def judge_heads(self, pinned, anchors):
        checkpoints = [*self.folder.glob("checkpoint"), *sorted(self.folder.glob("checkpoints/*"))]
        own, local = [*self.heads(checkpoints)], [*self.heads(sorted(self.folder.glob("anchors/*")))]
        more = [[key, 0, MAX_SIZE] for vkey in pinned for key in public_key(vkey, self.origin)]
        self.integrity, given = self.verdict, [*self.heads(anchors, "unverifiable")]
        if pinned and not {key for key, _, _ in self.keys} & {key for key, _, _ in more}:
            self.find("tampered", None, "the ledger names none of the pinned keys")
        self.anchoring = "anchored" if given else "local" if local else "none"
        self.sealed_to, self.anchored_to = max(own + local + given, default=None), max(given, default=None)
        self.unanchored = (self.anchored_to or 0) if self.entries > (self.anchored_to or 0) else None

    def heads(self, paths, otherwise="verified"):
        """The sizes of the checkpoints that count and that the lines bear out."""
        for path in paths:
            try:
                size, root, holds = open_checkpoint(path.read_bytes(), self.origin, self.keys)
            except (OSError, ValueError) as fault:
                self.find(otherwise, None, f"{path} vouches for nothing: {fault}")
                continue
            if holds and size <= len(self.leaves) and self.root(0, size) == root:
                yield size
            else:
                missing = holds and not self.whole and len(self.leaves) < size <= self.end
                self.find("unverifiable" if missing else "tampered", None, f"{path} does not vouch for these lines")


def main():
    parser = argparse.ArgumentParser(description="Verify a ledger by its published format.")
    parser.add_argument("folder")
    parser.add_argument("--key", action="append", default=[], metavar="VKEY", help="a key that the ledger has to name")
    parser.add_argument("--anchor", action="append", default=[], metavar="FILE", help="a checkpoint kept elsewhere")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = Verification(given.folder, given.key, given.anchor)
    report = {name: getattr(found, name) for name in REPORT}
    print(json.dumps(report) if given.json else "\n".join(f"{name}: {value}" for name, value in report.items()))
    return ("verified", "tampered", "unverifiable").index(found.verdict)


if __name__ == "__main__":
    raise SystemExit(main())
