"""Where a project is, which projects are refused, and which names a caller may use."""

from __future__ import annotations

import os
import pwd
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enforcer.errors import EnforcerError, RequestError, UnavailableError
from enforcer.project import (
    ACTOR_PATTERN,
    KEY_PATTERN,
    TASK_PATTERN,
    Project,
    check_actor,
    check_key,
    check_not_nested,
    check_task_id,
    find,
    place,
    user_folder,
)


@pytest.fixture
def base(tmp_path):
    """A real folder without symlinks, so that expectations can be written down as they are."""
    return tmp_path.resolve()


def govern(folder, *projects):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "enforcer.toml").write_text("\n".join(projects))
    return folder


def projects_of(path):
    """A settings reader for these tests: one listed project a line."""
    with open(path, encoding="utf-8") as file:
        return tuple(file.read().split("\n")) if os.path.getsize(path) else ()


def locate(start=None, *, root=None, environ=None) -> Project:
    return find(
        None if start is None else str(start),
        root=None if root is None else str(root),
        environ=environ or {},
        projects_of=projects_of,
    )


def refusal(*args, **named) -> RequestError:
    with pytest.raises(RequestError) as caught:
        locate(*args, **named)
    return caught.value


# Finding


def test_the_project_is_the_nearest_folder_upward_with_settings(base):
    govern(base / "project")
    deep = base / "project" / "a" / "b"
    deep.mkdir(parents=True)
    root = str(base / "project")
    assert locate(deep) == Project(root=root, state=f"{root}/state", settings_path=f"{root}/enforcer.toml")


def test_without_a_start_the_search_begins_in_the_current_folder(base, monkeypatch):
    govern(base / "project")
    inside = base / "project" / "inside"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert locate().root == str(base / "project")


def test_a_given_root_goes_before_the_environment_and_both_before_the_search(base):
    given, exported, around = (govern(base / name) for name in ("given", "exported", "around"))
    environ = {"ENFORCER_ROOT": str(exported)}
    assert locate(around, root=given, environ=environ).root == str(given)
    assert locate(around, environ=environ).root == str(exported)
    assert locate(around, root="", environ={"ENFORCER_ROOT": ""}).root == str(around)


def test_a_relative_root_is_taken_from_the_current_folder(base, monkeypatch):
    govern(base / "project")
    monkeypatch.chdir(base)
    assert locate(root="project").root == str(base / "project")


def test_no_settings_anywhere_upward_is_not_initialized(base):
    error = refusal(base)
    assert (error.code, error.fix, error.where) == ("not_initialized", "enforcer init", str(base))


@pytest.mark.parametrize("named", ["empty", "absent"])
def test_a_given_root_without_settings_is_not_initialized_even_inside_a_project(base, named):
    govern(base)
    (base / "empty").mkdir()
    for error in (refusal(root=base / named), refusal(environ={"ENFORCER_ROOT": str(base / named)})):
        assert (error.code, error.fix, error.where) == ("not_initialized", "enforcer init", str(base / named))


def test_a_folder_in_the_place_of_the_settings_is_no_project(base):
    (base / "enforcer.toml").mkdir()
    assert refusal(base).code == "not_initialized"


def test_a_path_that_no_folder_can_have_is_refused(base):
    assert refusal("a\0b").code == "not_initialized"
    assert refusal(root="a\0b").code == "not_initialized"


def test_a_current_folder_that_was_deleted_is_refused(base, monkeypatch):
    gone = base / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert refusal().code == "not_initialized"


def test_a_project_reached_through_a_symlink_is_the_same_project(base):
    govern(base / "project" / "deep")
    (base / "link").symlink_to(base / "project")
    assert locate(base / "link" / "deep") == locate(base / "project" / "deep")
    assert locate(root=base / "link" / "deep") == locate(root=base / "project" / "deep")


def test_a_symlink_out_of_a_project_leads_out_of_it(base):
    govern(base / "project")
    (base / "elsewhere").mkdir()
    (base / "project" / "link").symlink_to(base / "elsewhere")
    assert refusal(base / "project" / "link").code == "not_initialized"


def test_a_symlink_in_the_place_of_the_state_folder_does_not_move_it(base):
    govern(base / "project")
    (base / "forged").mkdir()
    (base / "project" / "state").symlink_to(base / "forged")
    assert locate(base / "project").state == str(base / "project" / "state")


def test_a_place_can_be_told_before_the_project_is_initialized(base):
    root = str(base / "later")
    assert place(root) == Project(root=root, state=f"{root}/state", settings_path=f"{root}/enforcer.toml")


# Nested projects


def test_a_planted_nested_project_is_refused_for_every_folder_below_it(base):
    govern(base)
    planted = govern(base / "src" / "planted")
    (planted / "deep").mkdir()
    for error in (refusal(planted), refusal(planted / "deep"), refusal(root=planted)):
        assert error.code == "root_nested"
        assert error.where == str(planted / "enforcer.toml")
        assert str(base) in error.message
        assert "'src/planted'" in error.fix


@pytest.mark.parametrize("listed", ["src/inner", "./src/inner", "src/inner/", "src//inner"])
def test_a_nested_project_that_the_outer_one_lists_is_a_project_of_its_own(base, listed):
    govern(base, "other", listed)
    inner = govern(base / "src" / "inner")
    assert locate(inner).state == str(inner / "state")


@pytest.mark.parametrize("listed", ["src", "inner", "src/inner/deeper", "src/inne", "src/inner2"])
def test_listing_another_folder_admits_nothing(base, listed):
    govern(base, listed)
    assert refusal(govern(base / "src" / "inner")).code == "root_nested"


def test_the_outer_project_stays_usable_beside_a_planted_one(base):
    govern(base)
    govern(base / "planted")
    assert locate(base).root == str(base)


def test_a_project_two_levels_down_may_be_listed_by_either_level(base):
    govern(base, "a")
    govern(base / "a", "b")
    govern(base / "a" / "b")
    assert locate(base / "a" / "b").root == str(base / "a" / "b")
    govern(base, "a", "a/b")
    govern(base / "a")
    assert locate(base / "a" / "b").root == str(base / "a" / "b")


def test_a_planted_project_cannot_admit_another(base):
    govern(base)
    govern(base / "planted", "inner")
    error = refusal(govern(base / "planted" / "inner"))
    assert (error.code, error.where) == ("root_nested", str(base / "planted" / "enforcer.toml"))


def test_a_symlink_to_a_planted_project_hides_nothing(base):
    govern(base / "project")
    govern(base / "project" / "planted")
    (base / "link").symlink_to(base / "project" / "planted")
    assert refusal(base / "link").code == "root_nested"


def test_a_folder_can_be_checked_before_it_becomes_a_project(base):
    govern(base, "listed")
    check_not_nested(str(base / "listed"), projects_of)
    with pytest.raises(RequestError) as caught:
        check_not_nested(str(base / "unlisted"), projects_of)
    assert caught.value.code == "root_nested"


def test_an_empty_git_folder_planted_beside_a_nested_project_does_not_separate_it(base):
    govern(base)
    planted = govern(base / "planted")
    (planted / ".git").mkdir()
    assert refusal(planted).code == "root_nested"


def test_the_settings_of_others_are_read_only_where_projects_are_nested(base):
    govern(base)

    def read(path):
        raise AssertionError(path)

    assert find(str(base), environ={}, projects_of=read).root == str(base)


# The user's folder


def test_the_users_folder_is_the_chosen_one_else_the_one_of_the_desktop_else_the_usual_one():
    environ = {"ENFORCER_HOME": "/chosen", "XDG_STATE_HOME": "/xdg", "HOME": "/home/a"}
    assert user_folder(environ) == "/chosen"
    del environ["ENFORCER_HOME"]
    assert user_folder(environ) == "/xdg/enforcer"
    del environ["XDG_STATE_HOME"]
    assert user_folder(environ) == "/home/a/.local/state/enforcer"


def test_empty_and_relative_settings_of_the_users_folder_are_not_taken():
    environ = {"ENFORCER_HOME": "", "XDG_STATE_HOME": "relative", "HOME": "/home/a"}
    assert user_folder(environ) == "/home/a/.local/state/enforcer"


def test_without_a_home_variable_the_user_database_is_asked():
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert user_folder({}) == user_folder({"HOME": ""}) == os.path.join(home, ".local/state/enforcer")


def test_a_user_without_a_home_gets_an_answer_that_says_what_to_set(monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    with pytest.raises(UnavailableError) as caught:
        user_folder({})
    assert caught.value.code == "home_unknown"
    assert "ENFORCER_HOME" in caught.value.fix


# Names

# Each check with the code of its refusal and the pattern that its documentation states.
NAMES = [
    (check_task_id, "bad_task_id", TASK_PATTERN),
    (check_key, "bad_key", KEY_PATTERN),
    (check_actor, "bad_actor", ACTOR_PATTERN),
]
nearly_names = st.text("aZ0._-@+/ \nä٣", max_size=8) | st.text(max_size=3) | st.integers(60, 70).map("x".__mul__)


@pytest.mark.parametrize("check, code, pattern", NAMES)
@given(text=nearly_names)
def test_names_are_taken_exactly_where_their_pattern_matches(check, code, pattern, text):
    if re.fullmatch(pattern, text):
        assert check(text) == text
        return
    with pytest.raises(RequestError) as caught:
        check(text)
    assert caught.value.code == code
    assert caught.value.message.isprintable()
    assert caught.value.fix.endswith(pattern)


@pytest.mark.parametrize("text", ["", ".", "..", "-x", "_x", "T-1\n", "a/b", "a b", "x" * 65, "Ä", "a\x1b[31m"])
def test_a_task_cannot_be_called(text):
    with pytest.raises(RequestError) as caught:
        check_task_id(text)
    assert caught.value.code == "bad_task_id"


@pytest.mark.parametrize("text", ["", "/", "a/", "/b", "a/b/c", "a b", "a\n", "x" * 65, "a/" + "x" * 65])
def test_an_actor_cannot_be_called(text):
    with pytest.raises(RequestError) as caught:
        check_actor(text)
    assert caught.value.code == "bad_actor"


def test_the_longest_names_are_taken():
    longest = "x" * 64
    assert check_task_id(longest) == check_key(longest) == longest
    assert check_actor(f"{longest}/{longest}") == f"{longest}/{longest}"


def test_a_huge_name_is_not_repeated_whole_in_its_refusal():
    with pytest.raises(EnforcerError) as caught:
        check_key("x" * 1_000_000)
    assert len(caught.value.message) < 300
