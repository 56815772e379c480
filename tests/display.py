"""Works with the real window by accessible names, as a screen reader would: sample, client, backups, restore, journal.

    display.py PROGRAM HOME SHOTS

Started by display.sh, which provides the display and the accessibility bus. Ends with 1 and says what is missing.
"""

import os
import subprocess
import sys
import time

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402

LIMIT = 60.0
program, home, shots = sys.argv[1:4]


class Missing(Exception):
    """Something is not shown that should be."""


def walk(node, depth=0):
    yield node
    if depth < 60:
        for index in range(node.get_child_count()):
            child = node.get_child_at_index(index)
            if child is not None:
                yield from walk(child, depth + 1)


def application():
    desktop = Atspi.get_desktop(0)
    for index in range(desktop.get_child_count()):
        found = desktop.get_child_at_index(index)
        if found is not None and "strongroom" in (found.get_name() or "").lower() and found.get_child_count():
            return found
    return None


def until(what, look, limit=LIMIT):
    """Waits for what `look` finds. The tree changes while it is read, so a failing read is only another attempt."""
    end = time.time() + limit
    while time.time() < end:
        if process.poll() is not None:
            raise Missing(f"the program ended with {process.returncode} while waiting for {what}")
        try:
            found = look()
            if found:
                return found
        except Exception:  # the node was replaced meanwhile
            pass
        time.sleep(0.1)
    raise Missing(f"{what} is not shown")


def named(role, name):
    for node in walk(application()):
        if node.get_role_name() in role and node.get_name() == name:
            return node
    return None


def texts():
    found = []
    for node in walk(application()):
        found.append(node.get_name() or "")
        try:
            text = node.get_text_iface()
            if text is not None:
                found.append(Atspi.Text.get_text(text, 0, -1))
        except GLib.Error:
            # A widget that has just gone, or that another one has taken the place of.
            pass
    return found


def shown(text):
    return until(f"the text “{text}”", lambda: any(text in found for found in texts()))


BUTTONS = ("push button", "button", "toggle button")


def press(name):
    def look():
        node = named(BUTTONS, name)
        return node if node and node.get_state_set().contains(Atspi.StateType.ENABLED) else None

    button = until(f"the button “{name}”", look)
    print(f"press {name}", flush=True)
    button.get_action_iface().do_action(0)
    time.sleep(0.4)


def choose(role, name):
    """Presses whatever is chosen: tabs, radio buttons, check boxes."""

    def look():
        node = named((role,), name)
        return node and node.get_action_iface()

    action = until(f"the {role} “{name}”", look)
    print(f"choose {name}", flush=True)
    action.do_action(0)
    time.sleep(0.4)


def is_in(node, *states):
    have = node.get_state_set()
    return all(have.contains(state) for state in states)


# Bars for scrolling and rows of tables are led to by other keys than Tab.
CONTROLS = BUTTONS + ("menu item", "entry", "text", "check box", "radio button", "combo box", "page tab")


def tab_leads_everywhere(page):
    """Tab leads to all that can be used on this page, also to what must be scrolled to; the keys are real ones."""
    press(page)
    usable = (Atspi.StateType.FOCUSABLE, Atspi.StateType.ENABLED)
    known = lambda node: (node.get_role_name(), node.get_name())
    wanted = until("the controls", lambda: {known(n) for n in walk(application()) if n.get_role_name() in CONTROLS and is_in(n, *usable)})
    reached = set()
    for _ in range(2 * len(wanted) + 10):
        subprocess.run(["xdotool", "key", "Tab"], check=True)
        time.sleep(0.15)
        reached |= until("the focus", lambda: {known(n) for n in walk(application()) if is_in(n, Atspi.StateType.FOCUSED)})
        if wanted <= reached:
            break
    if not wanted <= reached:
        raise Missing(f"on the page {page}, Tab does not lead to {sorted(wanted - reached)}")
    print(f"Tab leads to all {len(wanted)} controls of {page}", flush=True)


def row(start):
    return next((n for n in walk(application()) if n.get_role_name() == "list item" and n.get_name().startswith(start)), None)


def keyboard():
    for page in ("Maintenance", "Restore", "Backup journal"):
        tab_leads_everywhere(page)
    press("Restore")
    until("the newest archive", lambda: is_in(row("Archive 0003, "), Atspi.StateType.SELECTED))
    until("the table", lambda: named(("list box",), "Archives")).get_component_iface().grab_focus()
    time.sleep(0.5)
    subprocess.run(["xdotool", "key", "Down"], check=True)
    chosen = until("the row below", lambda: row("Archive 0002, ") if is_in(row("Archive 0002, "), Atspi.StateType.SELECTED) else None)
    if not is_in(chosen, Atspi.StateType.FOCUSED):
        raise Missing("the focus of a screen reader is not on the row that the arrow led to")
    print(f"read: {chosen.get_name()}", flush=True)
    shot("6-keyboard")


def read_out():
    """What a screen reader is told has names, and no letters of the font of icons."""
    frame = until("the frame", lambda: next(n for n in walk(application()) if n.get_role_name() == "frame"))
    if "Strongroom" not in frame.get_name():
        raise Missing(f"the frame is called “{frame.get_name()}”")
    for node in walk(application()):
        name = node.get_name() or ""
        if any("\ue000" <= letter <= "\uf8ff" for letter in name):
            raise Missing(f"the {node.get_role_name()} “{name}” has a name without an icon")
        if node.get_role_name() in CONTROLS + ("scroll bar", "list box", "list item") and not name:
            raise Missing(f"a {node.get_role_name()} has a name")
        if node.get_role_name() == "combo box" and not node.get_description():
            raise Missing(f"the list “{name}” says what is chosen")


def shot(name):
    time.sleep(0.6)
    target = os.path.join(shots, name + ".png")
    # The window alone, without what is around it.
    if subprocess.run(["import", "-window", "Strongroom", target], check=False).returncode:
        subprocess.run(["import", "-window", "root", target], check=True)


def exists(*parts):
    path = os.path.join(home, *parts)
    return until(path, lambda: os.path.exists(path))


def idle_share():
    """The share of one processor that the idle window takes, over five seconds."""
    ticks = os.sysconf("SC_CLK_TCK")

    def used():
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / ticks

    before = used()
    time.sleep(5)
    return (used() - before) / 5


def settings(settings_file):
    """The dialog with its three tabs; what is chosen there stands in the settings file afterwards."""
    letters = os.path.join(os.path.dirname(settings_file), "Letters")
    os.makedirs(letters, exist_ok=True)
    with open(os.path.join(letters, "2026-11-22 Edelweiss.txt"), "w", encoding="utf-8") as letter:
        letter.write("Dear Sir or Madam,\n" * 5000)

    def text():
        with open(settings_file, encoding="utf-8") as file:
            return file.read()

    # By hand, as an administrator may: what is written there is in the dialog.
    by_hand = text()
    with open(settings_file, "w", encoding="utf-8") as file:
        file.write(f"{by_hand}\n[content]\nattachments = ['{letters}']\n")
    press("Settings…")
    until("the settings", lambda: named(("page tab",), "Scheduler"))
    choose("page tab", "Configuration")

    def seen():
        # Opened before the file was read again, the dialog offers to take what is new.
        if named(BUTTONS, "Load the new settings"):
            press("Load the new settings")
        return named(BUTTONS, f"Delete {letters}") and any(found == "92.8 KB" for found in texts())

    until("the attachment with its size", seen)
    until("the disk chosen", lambda: named(("progress bar", "level bar"), "Used space of the disk chosen"))
    shot("settings-configuration")
    choose("page tab", "Scheduler")
    choose("radio button", "Every day")
    until("the next dates", lambda: any(found.startswith("UTC") for found in texts()))
    shot("settings-scheduler")
    choose("page tab", "Backup & Restore")
    choose("check box", "Backup only if the data file has been modified")
    choose("combo box", "Redundancy rate")
    press("Medium")
    shown("Repairs any single damaged stretch up to ")
    shot("settings-backup-restore")
    press("OK")
    until("the end of the dialog", lambda: not named(("page tab",), "Scheduler"))
    for line in ('frequency = "every day"', "only-if-modified = true", 'redundancy = "medium"', letters):
        until(f"{line} in {settings_file}", lambda line=line: line in text())


def journey():
    until("the window", application)
    shown("Welcome to Strongroom")
    shot("1-welcome")

    # No system dialog can open here, so the one inside the window does.
    press("Open data file…")
    until("the file dialog", lambda: named(BUTTONS, "Folder above"))
    shot("1-open")
    press("Cancel")

    press("Try with a sample")
    shown("OMB_Edelweiss.sqlite holds the records of an office")
    shot("2-sample")
    folder = until("the field “Folder”", lambda: named(("entry", "text"), "Folder"))
    sample = os.path.relpath(Atspi.Text.get_text(folder.get_text_iface(), 0, -1), home)
    press("Create sample")
    shown("The sample was created")
    exists(sample, "OMB_Edelweiss.sqlite")
    press("Start client")
    until("the running client", lambda: named(BUTTONS, "Stop client"))

    press("Start backup")
    shown("Full backup 0001 succeeded")
    exists(sample, "Backups", "OMB_Edelweiss[0001].4BK")
    press("Backup…")
    shown("OMB_Edelweiss[0002].4BK")
    shot("3-backup")
    press("Save")
    shown("Full backup 0002 succeeded")
    exists(sample, "Backups", "OMB_Edelweiss[0002].4BK")
    press("Use log…")
    shown("A full backup is needed before the log can serve a restore.")
    shot("3-log")
    press("OK")
    shown("Full backup 0003 succeeded")
    shown("Every commit is recorded")
    shown("commits since backup 0003")
    shot("4-maintenance")
    press("Stop client")
    settings(os.path.join(home, sample, "OMB_Edelweiss.strongroom.toml"))

    press("Restore")
    press("Verify archive 0003")
    shown("Archive 0003 is sound")
    press("Restore archive 0003…")
    until("the content", lambda: named(("check box",), "Data file: OMB_Edelweiss.sqlite"))
    shot("5-restore")
    press("Restore archive 0003")
    shown("Archive 0003 restored")
    shown("Integrity check: no problem found.")
    exists(sample, "Backups", "OMB_Edelweiss[0003]", "OMB_Edelweiss.sqlite")
    shot("6-restored")

    press("Restore 0003 in place…")
    until("the plan", lambda: any("leaves the data file" in t or "leave the data file" in t for t in texts()))
    nothing = until("the choice", lambda: named(("radio button",), "Nothing: the state of the archive itself"))
    nothing.get_action_iface().do_action(0)
    shown("commits after that point leave the data file. What leaves it stays in the log")
    shot("6-in-place")
    press("Restore in place")
    shown("OMB_Edelweiss.sqlite restored in place")
    shot("6-in-place-done")
    press("Undo this restore…")
    until("the numbers", lambda: any("that the restore took away" in t for t in texts()))
    shot("6-undo")
    press("Undo the restore")
    until("the way forward", lambda: not any("commits are no longer in the data file" in t for t in texts()))
    shown("OMB_Edelweiss.sqlite restored in place")

    read_out()
    keyboard()
    press("Backup journal")
    read_out()
    until("the journal", lambda: any(t.startswith("Restore 0003, Succeeded") for t in texts()))
    shot("7-journal")
    press("Maintenance")
    until("the page", lambda: named(BUTTONS, "Start backup"))
    time.sleep(1)
    share = idle_share()
    print(f"idle: {share:.1%} of a processor", flush=True)
    # A window that draws without a pause takes most of one. What a quiet one takes depends on the machine: 2 to 10 %.
    if share > 0.25:
        raise Missing(f"the idle window takes {share:.1%} of a processor, more than 25 %: it draws without a pause")


process = subprocess.Popen([program])
outcome = 0
try:
    Atspi.init()
    journey()
    print("the window was worked with by accessible names", flush=True)
except Missing as missing:
    print(f"failed: {missing}", file=sys.stderr)
    try:
        print("shown: " + " | ".join(t for t in texts() if t), file=sys.stderr)
        shot("failed")
    except Exception as error:  # nothing more can be said
        print(f"and nothing more is known: {error}", file=sys.stderr)
    outcome = 1
finally:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
sys.exit(outcome)
