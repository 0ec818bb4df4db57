"""The user's own folders."""

from __future__ import annotations

from dit4sr.runtime.files.folders import user_cache


def test_the_users_cache_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DIT4SR_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache("things") == tmp_path / "mine" / "things"
    monkeypatch.delenv("DIT4SR_CACHE")
    assert user_cache("things") == tmp_path / "xdg" / "dit4sr" / "things"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert user_cache("things") == tmp_path / "home" / ".cache" / "dit4sr" / "things"
