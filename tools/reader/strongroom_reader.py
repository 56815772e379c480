#!/usr/bin/env python3
"""Reads archives (.4BK) and logs (.journal, .4BL) of Strongroom without Strongroom.

Written from docs/formats.md and docs/format-log.md, for the day when nobody can build the program any more. Needs
Python 3.8 and the command zstd, nothing else. It is slow: BLAKE3 is computed here, unless a module of that name is there.

    strongroom_reader.py list FILE...                    what an archive or a log holds, from what it says of itself
    strongroom_reader.py prove FILE...                   every byte of it
    strongroom_reader.py extract ARCHIVE DIR             its files, each proven, into a folder that is made
    strongroom_reader.py integrate ARCHIVE DIR LOG...    the same, with the data file led on by these logs, in any order
                                    [--commit NUMBER]    no further than this commit

It repairs nothing: recovery data is read by nobody but Strongroom. It does not look at signatures, nor whether the
headers in the tar stream say the same as the index, which it goes by.
"""
import argparse, datetime, itertools, json, os, re, struct, subprocess, sys, tempfile, uuid

MASK32, MASK64 = 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF


class Bad(Exception):
    """A file is not what the formats say."""


def need(condition, what):
    if not condition:
        raise Bad(what)


# --- BLAKE3 ----------------------------------------------------------------------------------------------------------

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
LANES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
         (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
START, END, PARENT, ROOT = 1, 2, 4, 8


def compress(chain, block, counter, flags):
    m = struct.unpack("<16I", bytes(block).ljust(64, b"\0"))
    v = [*chain, *IV[:4], counter & MASK32, counter >> 32, len(block), flags]
    if flags & PARENT:
        v[14] = 64
    for turn in range(7):
        for n, (a, b, c, d) in enumerate(LANES):
            x, y, z, w = v[a], v[b], v[c], v[d]
            x = (x + y + m[2 * n]) & MASK32
            w ^= x
            w = (w >> 16 | w << 16) & MASK32
            z = (z + w) & MASK32
            y ^= z
            y = (y >> 12 | y << 20) & MASK32
            x = (x + y + m[2 * n + 1]) & MASK32
            w ^= x
            w = (w >> 8 | w << 24) & MASK32
            z = (z + w) & MASK32
            y ^= z
            v[a], v[b], v[c], v[d] = x, (y >> 7 | y << 25) & MASK32, z, w
        m = [m[n] for n in ORDER]
    return [v[n] ^ v[n + 8] for n in range(8)]


def tree(data, first, is_root):
    """The chaining value of what begins with chunk number `first`."""
    root = ROOT if is_root else 0
    if len(data) <= 1024:
        chain, blocks = IV, [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
        for n, block in enumerate(blocks):
            is_last = n + 1 == len(blocks)
            flags = (START if n == 0 else 0) | (END | root if is_last else 0)
            chain = compress(chain, block, first, flags)
        return chain
    half = 1024
    while half * 2 < len(data):
        half *= 2
    both = tree(data[:half], first, False) + tree(data[half:], first + half // 1024, False)
    return compress(IV, struct.pack("<16I", *both), 0, PARENT | root)


try:
    from blake3 import blake3 as _fast

    def blake3(data):
        return _fast(bytes(data)).digest()
except ImportError:
    def blake3(data):
        return struct.pack("<8I", *tree(memoryview(bytes(data)), 0, True))


def unzstd(frame, prefix=None):
    """Decompresses a zstd frame; `prefix` is what it may refer to."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["zstd", "-d", "-c", "-q", "--long=31", "--no-progress"]
        if prefix is not None:
            with open(os.path.join(folder, "prefix"), "wb") as file:
                file.write(prefix)
            command.append("--patch-from=" + file.name)
        path = os.path.join(folder, "frame.zst")
        with open(path, "wb") as file:
            file.write(frame)
        done = subprocess.run(command + [path], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        need(done.returncode == 0, "zstd: " + done.stderr.decode(errors="replace").strip())
        return done.stdout


# --- archives --------------------------------------------------------------------------------------------------------

def text_of(bytes_, what):
    """What JSON says; no field stands twice in it, and no byte order mark before it."""
    def once(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), f"a field stands twice in the {what}")
        return dict(pairs)
    return json.loads(bytes_.decode("utf-8"), object_pairs_hook=once)


def is_lawful(name):
    """Whether an item may have this name."""
    lawful = all(part not in ("", ".", "..") for part in name.split("/")) and len(name.encode()) <= 4096
    return lawful and not re.search(r"[\\\x00-\x1f\x7f-\x9f]", name)


def written_out(part):
    """The bytes of a part of a path as they stand in a name."""
    def spelt(c):
        is_plain = c != "\\" and not re.match(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", c)
        return c if is_plain else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "surrogateescape"))
    return "".join(map(spelt, part.decode("utf-8", "surrogateescape")))


def path_of(item):
    """The bytes of the path that a restore gives an item."""
    name = item["name"]
    if item.get("original") is None:
        return name.encode()
    path, refused = bytes.fromhex(item["original"]), f"{name!r} has another name than its own"
    names, parts = name.split("/"), path.split(b"/")
    need(item["kind"] not in ("data-file", "settings", "manifest") and len(path) <= 4096, refused)
    need(len(names) == len(parts) and names[0].encode() == parts[0] and b"\0" not in path, refused)
    for own, part in zip(names, parts):
        plain = written_out(part)
        dot = plain.rfind(".")
        stem, end = (plain[:dot], plain[dot:]) if dot > 0 else (plain, "")
        is_numbered = re.fullmatch(re.escape(stem) + r" \([0-9]+\)" + re.escape(end), own)
        need(part not in (b"", b".", b"..") and (own == plain or is_numbered), refused)
    return path


def require_lawful(head, items):
    """Refuses what no backup writes, and no restore must make."""
    for name in ("data_file_id", "archive_id", "data_file_name", "number", "moment", "page_size", "page_count", "program"):
        need(name in head, f"HEAD does not say the {name}")
    data_file = head["data_file_name"]
    need(is_lawful(data_file) and "/" not in data_file, f"the data file is called {data_file!r}")
    need(1 <= head["number"] <= 1_000_000_000, f"the number is {head['number']}")
    dot = data_file.rfind(".")
    stem = data_file[:dot] if dot > 0 else data_file
    if len(stem.encode()) > 215:
        stem = stem.encode()[:202].decode("utf-8", "ignore") + "~" + blake3(stem.encode()).hex()[:12]
    own = {"data-file": data_file, "settings": stem + ".strongroom.toml", "manifest": "strongroom-manifest.toml"}
    folders = {kind: f"{name} (2)/" if data_file == name else f"{name}/"
               for kind, name in (("program", "Program"), ("attachment", "Attachments"))}
    kinds, paths = {item["name"]: item["kind"] for item in items}, {path_of(item): item["kind"] for item in items}
    need(len(kinds) == len(items) == len(paths), "a name occurs twice")
    need(list(kinds.values()).count("data-file") <= 1, "there are two data files")
    beside = {(data_file + end).lower() for end in ("-wal", "-journal", "-shm")}
    for item in items:
        name, kind, path = item["name"], item["kind"], path_of(item)
        need(is_lawful(name), f"the name {name!r} is refused")
        is_in_place = name == own[kind] if kind in own else name.startswith(tuple(
            [folders[kind]] if kind in folders else folders.values()))
        need(is_in_place and name.lower() not in beside, f"{name} does not belong there")
        above = [kinds.get(name[:at.start()], "folder") for at in re.finditer("/", name)]
        above += [paths.get(path[:at.start()], "folder") for at in re.finditer(b"/", path)]
        need(set(above) <= {"folder"}, f"{name} lies in what is no folder")
        target = item.get("target")
        is_target = target is not None and 1 <= len(target.encode()) <= 4096 and "\0" not in target
        need(is_target if kind == "link" else target is None, f"{name} has a target that cannot be")
        need(kind not in ("link", "folder") or item["length"] == 0, f"{name} has a length")
        need(0 <= item["mode"] <= 0o777 and isinstance(item["modified"], int), f"{name} has special permissions")


class Archive:
    """An archive in one file, or in segments that lie in one folder; HEAD, INDX and TAIL are proven."""

    def __init__(self, path):
        self.path, self.parts, at = path, [], 0
        named = re.fullmatch(r"(.*\[\d{4,})-\d{4}(\]\.4BK)", path)
        paths = [path]
        if named:
            folder, begin = os.path.split(named.group(1))
            like = re.compile(re.escape(begin) + r"-\d{4}" + re.escape(named.group(2)))
            paths = sorted(os.path.join(folder, name) for name in os.listdir(folder or ".") if like.fullmatch(name))
        for part in paths:
            size = os.path.getsize(part)
            self.parts.append((at, size, part))
            at += size
        self.length = at
        self.head, head_sum = self.read_head(0)
        self.prove_segments()
        self.begin = self.head_length(0)
        self.read_tail()
        self.read_index(head_sum)
        self.prove_places()
        require_lawful(self.head, self.items)

    def read(self, at, count):
        out = b""
        for begin, size, path in self.parts:
            if begin <= at + len(out) < begin + size and len(out) < count:
                with open(path, "rb") as file:
                    file.seek(at + len(out) - begin)
                    out += file.read(min(count - len(out), begin + size - at - len(out)))
        need(len(out) == count, f"{self.path} ends too early")
        return out

    def frame(self, at, tag):
        """The payload of a skippable frame, without its checksum, which is proven, and that."""
        magic, length = struct.unpack("<II", self.read(at, 8))
        need(magic == 0x184D2A54 and 40 <= length <= 1 << 30, f"no frame at {at}")
        payload = self.read(at + 8, length)
        need(payload[:8] == tag and blake3(payload[:-32]) == payload[-32:], f"{tag.decode()} at {at} is damaged")
        return payload[:-32], payload[-32:]

    def read_head(self, at):
        payload, checksum = self.frame(at, b"SR4BHEAD")
        self.version, _, length = struct.unpack("<HHI", payload[8:16])
        need(1 <= self.version <= 3, f"version {self.version} of the archive is not known here")
        need(len(payload) == 16 + length <= 16 + (1 << 20), "HEAD has another length than it says")
        return text_of(payload[16:], "HEAD"), checksum

    def prove_segments(self):
        """Each begins where the one before ends."""
        for number, (at, _, path) in enumerate(self.parts if "segment" in self.head else [], 1):
            segment = self.pass_head(at, None, f"{path} does not begin there: one before it is missing, cut or too long")
            need(segment["number"] == number, f"{path} says that it is segment {segment['number']}")

    def pass_head(self, at, end, what):
        """What stands there, up to `end`, is the HEAD of a segment: it says so, and else the same as the first."""
        head, _ = self.read_head(at)
        need(head.get("segment", {}).get("offset") == at and (end is None or at + self.head_length(at) == end), what)
        same = all(head.get(name) == self.head.get(name) for name in {*head, *self.head} - {"segment"})
        need(same, f"the HEAD at {at} is not that of the first segment")
        return head["segment"]

    def head_length(self, at):
        return 56 + struct.unpack("<I", self.read(at + 20, 4))[0]

    def read_tail(self):
        payload, _ = self.frame(self.length - 112, b"SR4BTAIL")
        self.index_at, length, self.tar_length = struct.unpack("<QQQ", payload[16:40])
        self.whole = payload[40:72]
        need(length == self.length, f"{self.path} was cut off, or segments are missing")
        says, not_whole = struct.unpack("<HI", payload[10:16])
        self.not_whole = not_whole if says == 1 else None

    def read_index(self, head_sum):
        payload, index_sum = self.frame(self.index_at, b"SR4BINDX")
        count, length = struct.unpack("<II", payload[8:16])
        self.frames, tar_at, entry = [], 0, 16
        most = self.head.get("segment", {"frame_bytes": 4 << 20})["frame_bytes"]
        need(256 << 10 <= most <= 4 << 20, f"frames of {most} bytes")
        for number in range(count):
            # Since version 3 an entry says how long it is: a later one may be longer.
            size = 48
            if self.version >= 3:
                size, entry = struct.unpack("<H", payload[entry:entry + 2])[0], entry + 2
            need(48 <= size <= len(payload) - entry, "an entry of the index is too short or too long")
            at, stored, plain, checksum = struct.unpack("<QII32s", payload[entry:entry + 48])
            need(plain == most or number + 1 == count and 0 < plain < most, f"a frame of {plain} bytes")
            need(stored <= 4_228_096, f"a frame that takes {stored} bytes")
            self.frames.append((at, stored, plain, checksum, tar_at))
            tar_at, entry = tar_at + plain, entry + size
        need(len(payload) == entry + length, "INDX has another length than its parts")
        self.items = text_of(payload[entry:], "INDX")
        need(tar_at == self.tar_length, "the frames do not make up the tar stream")
        sums = b"".join(frame[3] for frame in self.frames)
        need(blake3(head_sum + sums + index_sum) == self.whole, "the checksum of the whole differs")

    def prove_places(self):
        """Frames follow each other, items too, and nothing else stands anywhere."""
        at, between = self.begin, "something else than the HEAD of a segment stands between data frames"
        for begins, stored in [frame[:2] for frame in self.frames] + [(self.index_at, 0)]:
            if begins != at:
                self.pass_head(at, begins, between)
            at = begins + stored
        at, end = at + 8 + struct.unpack("<I", self.read(at + 4, 4))[0], self.length - 112
        # Recovery data may be damaged while all else is sound.
        protected = self.head.get("options", {}).get("redundancy", "none") in ("low", "medium", "high")
        for _ in range(0 if protected else 19_997):
            if at == end:
                break
            magic, length = struct.unpack("<II", self.read(at, 8))
            need(magic & ~15 == 0x184D2A50 and length <= end - at - 8, f"no frame at {at}")
            if length >= 16 and self.read(at + 8, 8) == b"SR4BHEAD":
                self.pass_head(at, at + 8 + length, f"the HEAD at {at} is not that of a segment")
            at += 8 + length
        need(protected or at == end, "too many frames follow the index")
        free = 0
        for item in self.items:
            need(item["offset"] >= free, f"{item['name']} overlaps what is before it")
            free = item["offset"] + item["length"]
        need(free <= self.tar_length, "an item lies beyond the tar stream")
        said = [item.get("not_whole") for item in self.items if item["kind"] == "manifest"][:1]
        said = [None if number is None else min(number, MASK32) for number in said]
        need((said or [None])[0] == self.not_whole, "end and manifest differ about what is not whole")

    def plain(self, frame):
        at, stored, length, checksum, _ = frame
        bytes_ = self.read(at, stored)
        need(blake3(bytes_) == checksum, f"the frame at {at} is damaged")
        plain = unzstd(bytes_)
        need(len(plain) == length, f"the frame at {at} has another length")
        return plain

    def pieces(self):
        """Every item with its content, each proven; the frames are read once, in order."""
        held, index = b"", 0
        held_at = 0
        for item in self.items:
            begin, end = item["offset"], item["offset"] + item["length"]
            while held_at + len(held) < end:
                need(index < len(self.frames), f"{item['name']} lies beyond the tar stream")
                keep = max(0, min(begin - held_at, len(held)))
                held, held_at = held[keep:] + self.plain(self.frames[index]), held_at + keep
                index += 1
            content = held[begin - held_at:end - held_at]
            need(blake3(content).hex() == item["blake3"], f"{item['name']} is not what was archived")
            yield item, content


def describe_archive(archive):
    head = archive.head
    print(f"{archive.path}: full backup {head['number']} of {head['data_file_name']}, {head['moment']}")
    for key in ("data_file_id", "archive_id", "page_size", "page_count", "program"):
        print(f"  {key}: {head[key]}")
    position = head.get("log_position")
    if position:
        print(f"  log_position: commit {position['commit']}, chain {position['chain']}")
    for item in archive.items:
        print(f"  {item['length']:>12}  {item['kind']:<10}  {item['name']}")


def extract(archive, folder, change=None):
    """Writes the files; `change` makes another content of the data file."""
    os.makedirs(folder)
    links = []
    for item, content in archive.pieces():
        path = os.path.join(folder, *item["name"].split("/"))
        if item["kind"] == "folder":
            os.makedirs(path, exist_ok=True)
            continue
        if item["kind"] == "link":
            links.append((item["target"], path))
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if item["kind"] == "data-file" and change:
            content = change(content)
        with open(path, "xb") as file:
            file.write(content)
        os.chmod(path, item["mode"] & (0o777 if item["kind"] == "program" else 0o666))
    inside = os.path.realpath(folder)
    for target, path in links:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        leads = os.path.realpath(os.path.join(os.path.dirname(path), target))
        if leads == inside or leads.startswith(inside + os.sep):
            os.symlink(target, path)
        else:
            print(f"the link {path} is left out: it leads to {target}", file=sys.stderr)


# --- logs ------------------------------------------------------------------------------------------------------------

class Bytes:
    """Bytes that are taken from the beginning."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        need(0 <= count <= len(self.data) - self.at, "something ends too early")
        self.at += count
        return bytes(self.data[self.at - count:self.at])

    def is_empty(self):
        return self.at == len(self.data)

    def number(self):
        number = 0
        for shift in range(0, 64, 7):
            byte = self.take(1)[0]
            need(shift < 63 or byte < 2, "a number is too long")
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise Bad("a number is too long")

    def difference(self):
        number = self.number()
        return number >> 1 if number & 1 == 0 else -(number >> 1) - 1


class Record:
    def __init__(self, kind, commit, wall, pages, place):
        self.kind, self.commit, self.wall, self.pages, self.place = kind, commit, wall, pages, place
        self.entries, self.state, self.chain = [], None, None

    def is_same(self, other):
        """Whether both are the same commit, be it written anew."""
        def said(record):
            entries = [(entry[0], entry[2]) for entry in record.entries]
            return record.kind, record.commit, record.pages, record.place, entries
        return self.chain == other.chain or said(self) == said(other)


class Log:
    """A log; `records` yields what is valid of it, `end` tells then why there is no more."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self.data = file.read()
        head = self.data[:192]
        need(head[:8] == b"\x894BL\r\n\x1a\n", f"{path} is no log")
        need(len(head) == 192 and blake3(head[:160]) == head[160:], f"the header of {path} is damaged")
        self.version, self.page_size = struct.unpack("<II", head[8:16])
        need(1 <= self.version <= 2, f"version {self.version} of the log is not known here")
        self.identity = uuid.UUID(bytes=head[16:32])
        self.archive, flags, self.commit = struct.unpack("<IIQ", head[32:48])
        need(self.version == 1 or flags & ~1 == 0, f"{path} needs what is not known here")
        size = self.page_size
        need(size & (size - 1) == 0 and 512 <= size <= 65536, f"{path} has pages of {size} bytes")
        need(self.commit <= 1 << 62, f"{path} says that {self.commit} commits were before it")
        self.rooted, self.base = bool(flags & 1), head[48:80]
        self.created, self.pages = struct.unpack("<qI", head[80:92])
        self.place, self.id = head[92:116], uuid.UUID(bytes=head[116:132]) if self.version > 1 else None
        self.epoch, known = struct.unpack("<II", head[132:140]) if self.version > 1 else (0, 0)
        self.state = struct.unpack("<Q", head[144:152])[0] if self.version > 1 and known & 1 else None
        self.link = blake3(self.base + head) if self.version > 1 else self.base
        self.blank, self.end, self.index = [], None, None

    def records(self):
        return self.records_of_2() if self.version == 2 else self.records_of_1()

    def block(self, at, before):
        """Type, payload and chain value of the block of version 2 at `at`, if it continues `before`."""
        head = self.data[at:at + 40]
        if len(head) < 40 or head[:4] != b"4BLr":
            return None
        word = struct.unpack("<I", head[4:8])[0]
        kind, payload = word >> 24, self.data[at + 40:at + 40 + (word & 0xFFFFFF)]
        if len(payload) != word & 0xFFFFFF or len(payload) > 1 << 20 or not (1 <= kind <= 4 or kind >= 128):
            return None
        chain = before
        if kind == 1:
            try:
                for record in self.cut(payload):
                    chain = blake3(chain + record)
            except Bad:
                return None
        else:
            chain = blake3(before + head[:8] + payload)
        return (kind, payload, chain) if chain == head[8:40] else None

    @staticmethod
    def cut(payload):
        """The records of a block: one at least, of a byte at least."""
        rest, records = Bytes(payload), []
        while not rest.is_empty():
            records.append(rest.take(rest.number()))
        need(records and all(records), "a block without records, or with an empty one")
        return records

    def records_of_2(self):
        # `end` is where the last record ends, and what is passed over after it.
        at, end, link, opened = 192, 192, self.link, None
        self.blank, self.index, self.count = [], None, 0
        last = Record(1, self.commit, self.created, self.pages, self.place)
        while True:
            found = self.block(at, link)
            if found is None or opened and found[0] not in (2, 3) or found[0] == 4 and at != 192:
                break
            kind, payload, chain = found
            if kind in (160, 161):
                self.index = at
                break
            begins, at, ready = at, at + 40 + len(payload), []
            try:
                if kind >= 128:
                    end = at
                elif kind == 4:
                    end, link = at, chain
                    self.blank = self.runs(payload)
                elif kind == 1:
                    for bytes_ in self.cut(payload):
                        record = self.part(bytes_, self.begin(last), True)
                        link = record.chain = blake3(link + bytes_)
                        ready.append(record)
                        last = record
                else:
                    opened = self.part(payload, opened or self.begin(last), kind == 3)
                    link = chain
                    if kind == 3:
                        opened.chain, last = chain, opened
                        ready.append(opened)
            except Bad:
                self.end = f"damaged at byte {end}"
                return
            if ready:
                end, opened = at, None
                self.count += len(ready)
                yield from ready
        self.end = self.why(end, at, link)

    def runs(self, payload):
        """First and last page of each run of blank pages."""
        rest, page, runs = Bytes(payload), 1, []
        while not rest.is_empty():
            first = page + rest.number()
            page = first + rest.number()
            need(first < page <= self.pages + 1, "a run of blank pages that cannot be")
            runs.append((first, page - 1))
        return runs

    def follow(self, at):
        """Whether two blocks stand from `at` on, of which the second continues the first."""
        at = self.data.find(b"4BLr", at)
        while at >= 0:
            word = struct.unpack("<I", self.data[at + 4:at + 8].ljust(4, b"\0"))[0]
            after = at + 40 + (word & 0xFFFFFF)
            if 1 <= word >> 24 <= 4 and word & 0xFFFFFF <= 1 << 20 and self.block(after, self.data[at + 8:at + 40]):
                return True
            at = self.data.find(b"4BLr", at + 1)
        return False

    def why(self, end, at, link):
        """Why there are no records after `end`; up to `at` the chain goes on, with `link`."""
        last = self.data[-144:]
        is_end = last[:8] == b"4BLr" + struct.pack("<I", 104 | 161 << 24) and last[40:48] == b"4BLindex"
        is_end = is_end and blake3(last[80:112] + last[:8] + last[40:]) == last[8:40]
        begins = struct.unpack("<Q", last[48:56])[0] if is_end else 0
        if self.index is None and end == len(self.data):
            return "whole"
        if self.index is None and begins > end:
            return f"damaged at byte {end}"
        if self.index is not None or (begins, last[80:112]) == (at, link):
            self.index = at
            try:
                self.read_index(link)
                return "whole"
            except (Bad, struct.error):
                return f"damaged at byte {at}" if self.follow(at) else "whole, with a damaged index"
        return f"damaged at byte {end}" if self.follow(at) else f"torn at byte {end}"

    def read_index(self, link):
        """Takes from the index kind, time and pages of each record, and every page that it names."""
        last = self.data[-104:]
        begin, length, list_length, count = struct.unpack("<QQQQ", last[8:40])
        need(last[:8] == b"4BLindex" and begin == self.index, "the index does not begin where the records end")
        need(last[40:72] == link and count == self.count, "the index is not that of these records")
        frame, at = b"", begin
        while at < len(self.data):
            found = self.block(at, link)
            need(found and found[0] == (160 if at < len(self.data) - 144 else 161), "the index is damaged")
            frame, at = frame + found[1], at + 40 + len(found[1])
        frame = frame[:-104]
        need(len(frame) == length and blake3(frame) == last[72:], "the index is damaged")
        need(list_length <= min(begin, 256 << 20), "the list of the index is too long")
        plain = unzstd(frame)
        need(len(plain) == list_length, "the list of the index has another length")
        rest, at, listed, named, wall, pages = Bytes(plain), 192, [], set(), self.created, self.pages
        while not rest.is_empty():
            at += rest.number()
            need(self.data[at:at + 4] == b"4BLr", "a group of the index begins at no block")
            at += rest.number()
            for _ in range(rest.number()):
                kind, wall, pages = rest.take(1)[0], wall + rest.difference(), pages + rest.difference()
                listed.append((kind, wall, pages))
            page = 0
            for _ in range(rest.number()):
                page += rest.number() >> 1
                named.add(page)
        need(at <= begin and len(listed) == count, "the index does not fit the log")
        self.listed, self.named = listed, named

    @staticmethod
    def begin(last):
        """A record of which nothing is read yet, after `last`."""
        record = Record(None, last.commit + 1, last.wall, last.pages, last.place)
        record.before = last.pages
        return record

    def part(self, bytes_, record, is_last):
        """Takes a part of a record, or all of it."""
        rest = Bytes(bytes_)
        if record.kind is None:
            first = rest.take(1)[0]
            need(first < 16 and 1 <= first & 3 <= 3, "a record of an unknown kind")
            record.kind, record.has_state = first & 3, bool(first & 8)
            record.wall, record.pages = record.wall + rest.difference(), record.pages + rest.difference()
            if first & 4:
                record.place = rest.take(24)
            else:
                frame, counter = struct.unpack("<8xI8xI", record.place)
                frame, words, more = frame + rest.number(), rest.take(8), rest.number()
                need(frame <= MASK32 and more <= MASK32, "a place in the WAL that cannot be")
                record.place = struct.pack("<8sI8sI", record.place[:8], frame, words, counter + more & MASK32)
            need(0 <= record.pages <= MASK32, "a data file of a length that cannot be")
        body = Bytes(bytes_[rest.at:])
        if is_last and record.has_state:
            need(len(body.data) >= 8, "a record without its checksum")
            record.state = struct.unpack("<Q", body.data[-8:])[0] or None
            body = Bytes(body.data[:-8])
        page = 0
        while not body.is_empty():
            page += body.difference()
            need(1 <= page <= record.pages, "a record names a page that cannot be")
            word = body.number()
            hash_ = body.take(8)
            record.entries.append((page, word & 7, hash_, body.take(word >> 3)))
        longest = record.before + 1 + len(record.entries) * (1 + self.page_size // 4)
        need(not is_last or record.kind == 3 or 0 < record.pages <= longest, "a data file of a length that cannot be")
        return record

    def records_of_1(self):
        at, chain, commit, record, index = 192, self.base, self.commit, None, 0
        begins = at
        while True:
            head = self.data[at:at + 48]
            if len(head) < 48 or head[:4] != b"4BLb":
                break
            length, kind, flags, _, number = struct.unpack("<IBBHI", head[4:16])
            payload = self.data[at + 48:at + 48 + length]
            if length > 1 << 20 or len(payload) != length or number != index or (flags & 1) != (index == 0):
                break
            if blake3(chain + head[:16] + payload) != head[16:48]:
                break
            if index == 0:
                begins = at
                said, wall, pages = struct.unpack("<QqI", payload[:20])
                need(said == commit + 1, "the numbers of commits do not go up by one")
                record, payload = Record(kind, said, wall, pages, payload[20:44]), payload[44:]
            while payload:
                page, word, hash_ = struct.unpack("<II8s", payload[:16])
                length = word >> 8
                need(len(payload) >= 16 + length, "an entry is not whole")
                record.entries.append((page, word & 0xFF, hash_, payload[16:16 + length]))
                payload = payload[16 + length:]
            at, chain, index = at + 48 + struct.unpack("<I", head[4:8])[0], head[16:48], index + 1
            if flags & 2:
                record.chain, commit, index = chain, record.commit, 0
                begins = at
                yield record
        self.end = "whole" if begins == len(self.data) else f"torn or damaged at byte {begins}"


def when(micros):
    moment = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=micros)
    return moment.isoformat()


def describe_log(log, each):
    base = f"at full backup {log.archive}" if log.rooted else "at no full backup"
    print(f"{log.path}: log of {log.identity}, version {log.version}, begun {base}, after commit {log.commit}")
    count, listed, pages = 0, [], set()
    for record in log.records():
        count += 1
        if each:
            kind = {1: "commit", 2: "catch-up", 3: "gap"}[record.kind]
            pages = len({entry[0] for entry in record.entries})
            print(f"  {record.commit:>9}  {when(record.wall)}  {kind:<8}  {pages} of {record.pages} pages")
        if log.version == 2:
            listed.append((record.kind, record.wall, record.pages))
            pages.update((entry[0], entry[1] < 2) for entry in record.entries)
    print(f"  {count} records, proven by their chain; the log is {log.end}")
    if log.index is not None and log.end == "whole":
        need(log.listed == listed and log.named == {page for page, _ in pages}, "the index says something else")
        print("  its index says the same")
    need(log.end == "whole", f"{log.path} is {log.end}")


# --- pages -----------------------------------------------------------------------------------------------------------

def page_hash(page):
    return blake3(page)[:8]


def steps(rest, page, others):
    """The page after the steps in `rest`."""
    source, page, at = bytes(page) + others, bytearray(page), 0
    while not rest.is_empty():
        count, operation = divmod(rest.number(), 4)
        length = 2 * count if operation == 3 else count
        need(at + length <= len(page), "a step goes beyond the page")
        if operation == 1:
            page[at:at + length] = rest.take(length)
        elif operation == 2:
            begin = rest.number()
            need(begin + length <= len(source), "a step begins beyond the source")
            page[at:at + length] = source[begin:begin + length]
        elif operation == 3:
            more = rest.difference()
            need(-32768 <= more <= 32767, "a step counts by more than a word holds")
            for word in range(at, at + length, 2):
                value = (int.from_bytes(page[word:word + 2], "big") + more) & 0xFFFF
                page[word:word + 2] = value.to_bytes(2, "big")
        at += length
    return bytes(page)


def decode(encoding, data, previous, size, before):
    """The page after an entry; `previous` is what it held, if that counts, and `before` tells that of others."""
    if encoding == 0:
        return data
    if encoding == 1:
        return unzstd(data)
    rest, others = Bytes(data), b""
    if encoding in (5, 6):
        count = rest.number()
        need(count < 16, "too many pages are named")
        for _ in range(count):
            others += before(rest.number())
    if encoding == 6:
        return steps(rest, bytes(size), others)
    need(previous is not None and encoding < 7, "a page without the content that it was made from")
    if encoding in (4, 5):
        return steps(rest, previous, others)
    if encoding == 3:
        return unzstd(data, previous)
    page, at = bytearray(previous), 0
    while not rest.is_empty():
        at += rest.number()
        count = rest.number()
        need(at + count <= size, "a patch goes beyond the page")
        page[at:at + count] = rest.take(count)
        at += count
    return bytes(page)


def mix(page, hash_):
    z = (int.from_bytes(hash_, "little") + page * 0x9E3779B97F4A7C15) & MASK64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK64
    return z ^ z >> 31


class Target:
    """A data file that logs are applied to."""

    def __init__(self, content, page_size):
        self.size = page_size
        self.pages = {n + 1: content[n * page_size:(n + 1) * page_size] for n in range(len(content) // page_size)}
        self.count, self.defined = len(self.pages), None

    def begin(self, blank):
        self.defined = {page for page in range(1, self.count + 1) if not any(a <= page <= b for a, b in blank)}

    def apply(self, record):
        count, new = self.count, {}
        need(len({entry[0] for entry in record.entries}) == len(record.entries),
             f"commit {record.commit}: a page stands twice")

        def before(page):
            need(1 <= page <= count, "a page is named that is not there")
            return self.pages.get(page, bytes(self.size))

        for page, encoding, hash_, data in record.entries:
            previous = before(page) if page <= count else None
            content = decode(encoding, data, previous, self.size, before)
            need(len(content) == self.size and page_hash(content) == hash_,
                 f"commit {record.commit}: page {page} is not what the log was made against")
            new[page] = content
        self.pages.update(new)
        self.count = record.pages
        self.pages = {page: content for page, content in self.pages.items() if page <= self.count}
        if self.defined is not None:
            self.defined = {page for page in self.defined if page <= min(count, self.count)} | set(new)

    def state(self):
        return sum(mix(page, page_hash(self.pages[page])) for page in self.defined) & MASK64

    def content(self):
        return b"".join(self.pages.get(page, bytes(self.size)) for page in range(1, self.count + 1))


def branch(log, start, taken):
    """What a log holds beyond the records `taken` from `start` on: the last common position, the record of `taken` that
    it has another one for, if so, and its own ones from there on; `None` where both have no position in common."""
    chains = {start[0]: start[1], **{record.commit: record.chain for record in taken}}
    own = {record.commit: record for record in taken}
    here, common, records = (log.commit, log.base), None, log.records()
    while True:
        if chains.get(here[0]) == here[1]:
            common = here[0]
        record = next(records, None)
        if record is None:
            return (common, None, []) if common == here[0] else None
        here = (record.commit, record.chain)
        if common != record.commit - 1:
            continue
        if record.commit in own and own[record.commit].is_same(record):
            common = record.commit
            continue
        return common, own.get(record.commit), itertools.chain([record], records)


def is_aside(log):
    """Whether a log was put aside, by its name."""
    return any(mark in os.path.basename(log.path) for mark in (".set-aside-", ".damaged-"))


def integrate(archive, content, paths, until):
    """The data file after the last commit that these logs lead to, or after commit `until`."""
    position = archive.head.get("log_position")
    need(position, "the archive was made without a log")
    start = (position["commit"], bytes.fromhex(position["chain"]))
    own, left = uuid.UUID(archive.head["data_file_id"]), [Log(path) for path in paths]
    for log in left:
        need(log.identity == own, f"{log.path} belongs to another data file")
        need(log.page_size == archive.head["page_size"], f"{log.path} has pages of another size")
    named = (position["archive"], *start, position.get("epoch", 0), uuid.UUID(position["log"])) \
        if "log" in position else None
    for log in list(left):
        # Of a copy of the data file: it begins here, and is not the log that went on.
        if named and log.id and (log.archive, log.commit, log.base) == named[:3] and log.epoch <= named[3] \
                and log.id != named[4]:
            print(f"{log.path} is not used: it goes on from a copy", file=sys.stderr)
            left.remove(log)
    # Of two that go on from one place, the one that was begun in the place of the other.
    left.sort(key=lambda log: (is_aside(log), -log.epoch))
    target, taken, froms, state = Target(content, archive.head["page_size"]), [], {}, None
    while True:
        for log in left:
            found = branch(log, start, taken)
            end = taken[-1].commit if taken else start[0]
            if found and found[0] == end:
                break
        else:
            break
        left.remove(log)
        at_base, is_first = (end, taken[-1].chain if taken else start[1]) == (log.commit, log.base), True
        for record in found[2]:
            if record.kind == 3:
                need(until is not None and until < record.commit, f"{log.path} has a gap at commit {record.commit}")
                break
            taken.append(record)
            froms[record.commit] = log
            if until is None or record.commit <= until:
                if is_first:
                    before = log.pages if at_base else None
                    need(before is None or before <= target.count, f"{log.path} says more pages than there are")
                    target.begin(log.blank) if at_base else setattr(target, "defined", None)
                target.apply(record)
                state = record.state
            is_first = False
        if log.end not in (None, "whole"):
            print(f"{log.path} is {log.end}", file=sys.stderr)
    end = taken[-1].commit if taken else start[0]
    for log in left:
        found = branch(log, start, taken)
        if not found:
            if log.commit > end:
                print(f"{log.path} begins with commit {log.commit + 1}: a log before it is missing", file=sys.stderr)
            continue
        common, ours, theirs = found
        theirs = list(theirs)
        if ours is None or not theirs:
            continue
        used = froms[ours.commit]
        is_over = (used.epoch > log.epoch or is_aside(log)) and ours.wall >= max(record.wall for record in theirs)
        need(is_over or until is not None and until <= common,
             f"{used.path} and {log.path} go on from commit {common} in different ways: leave one of them out")
    at = min(end, end if until is None else until)
    need(until is None or start[0] <= until <= end, f"the logs lead from commit {start[0]} to {end} only")
    proven = "its checksum of the state is not known"
    if state is not None and target.defined is not None:
        need(target.state() == state, "the checksum of the state differs")
        proven = "every page proven by the checksum of the state"
    print(f"the data file stands after commit {at}; {proven}")
    return target.content()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job", choices=("list", "prove", "extract", "integrate"))
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--commit", type=int)
    given = parser.parse_intermixed_args()
    try:
        if given.job in ("list", "prove"):
            for path in given.files:
                with open(path, "rb") as file:
                    is_log = file.read(8) == b"\x894BL\r\n\x1a\n"
                if is_log:
                    describe_log(Log(path), given.job == "list")
                    continue
                archive = Archive(path)
                describe_archive(archive)
                if given.job == "prove":
                    print(f"  {sum(1 for _ in archive.pieces())} items, each proven")
        elif given.job == "extract":
            need(len(given.files) == 2, "give an archive and a new folder")
            extract(Archive(given.files[0]), given.files[1])
        else:
            need(len(given.files) >= 2, "give an archive, a new folder, and logs")
            archive = Archive(given.files[0])
            extract(archive, given.files[1], lambda data: integrate(archive, data, given.files[2:], given.commit))
    except (Bad, OSError, KeyError, ValueError, struct.error) as error:
        print(f"strongroom_reader: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
