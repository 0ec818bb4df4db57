"""The user's own folders."""

from __future__ import annotations

from pathlib import Path

from dit4sr.runtime import Upscaler
from dit4sr.runtime.bundles.built_in import tiny_bundle
from dit4sr.runtime.files.folders import user_cache, user_config


def test_the_users_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache("things") == tmp_path / "mine" / "things"
    monkeypatch.delenv("DIT4SR_CACHE")
    assert user_cache("things") == tmp_path / "xdg" / "dit4sr" / "things"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert user_cache("things") == tmp_path / "home" / ".cache" / "dit4sr" / "things"


def test_the_users_configuration_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CONFIG", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_config("things") == tmp_path / "mine" / "things"
    monkeypatch.delenv("DIT4SR_CONFIG")
    assert user_config("things") == tmp_path / "xdg" / "dit4sr" / "things"
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    assert user_config("things") == tmp_path / "home" / ".config" / "dit4sr" / "things"


def test_who_has_no_home_has_no_configuration(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DIT4SR_CONFIG")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert user_config("things") is None


def test_a_user_without_a_home_has_a_cache_only_where_it_is_named(monkeypatch, tmp_path):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path))
    assert user_cache("things") == tmp_path / "things"
    monkeypatch.delenv("DIT4SR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert user_cache("things") == tmp_path / "xdg" / "dit4sr" / "things"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert user_cache("things") is None
    Upscaler(tiny_bundle()).close()
