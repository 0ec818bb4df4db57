"""The C interface as its user meets it: a wheel, a fresh environment, CMake, and Python's own picture."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from support.native import COMPILERS, STRICT, read_ppm, run, sample, tool, write_ppm

from dit4sr.runtime import Upscaler

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A new environment with the wheel; what that depends on is this one's."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"])
    pip = [sys.executable, "-m", "pip", "--quiet", "install", "--no-deps", "--target", packages, wheel]
    subprocess.run(pip, check=True, capture_output=True)
    return folder


def build(environment: Path, example: str, folder: Path, compiler: str) -> Path:
    flags = " ".join(STRICT)
    place = run(environment / "bin" / "python", "-m", "dit4sr.native", "--cmake-dir").strip()
    assert place.startswith(str(environment))
    run(
        *(tool("cmake"), "-S", ROOT / "examples" / example, "-B", folder, f"-Ddit4sr_DIR={place}"),
        *(f"-DCMAKE_C_FLAGS={flags}", f"-DCMAKE_CXX_FLAGS={flags}"),
        CC=tool(compiler),
        CXX=tool(COMPILERS[compiler]),
    )
    run(tool("cmake"), "--build", folder)
    return folder


@pytest.mark.parametrize("compiler", COMPILERS)
def test_the_examples_make_pythons_pictures_byte_for_byte(environment, tmp_path, compiler):
    tool(COMPILERS[compiler])
    photos = {name: sample(name, 40, 36) for name in ("astronaut", "coffee")}
    (tmp_path / "in").mkdir()
    for name, photo in photos.items():
        write_ppm(tmp_path / "in" / f"{name}.ppm", photo)
    with Upscaler(use_cache=False) as upscaler:
        expected = {name: upscaler(photo).picture for name, photo in photos.items()}

    restore = build(environment, "c", tmp_path / "c", compiler) / "restore"
    run(restore, tmp_path / "in" / "coffee.ppm", tmp_path / "out.ppm")
    np.testing.assert_array_equal(read_ppm(tmp_path / "out.ppm"), expected["coffee"])

    service = build(environment, "cpp", tmp_path / "cpp", compiler) / "service"
    printed = run(service, tmp_path / "in", tmp_path / "out")
    assert "2 pictures" in printed
    for name, picture in expected.items():
        np.testing.assert_array_equal(read_ppm(tmp_path / "out" / f"{name}.ppm"), picture)


def test_what_fails_has_a_line_and_the_commands_exit_code(environment, tmp_path):
    restore = build(environment, "c", tmp_path / "c", "gcc") / "restore"
    photo = write_ppm(tmp_path / "photo.ppm", sample("coffee", 20, 20))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    run(restore, photo, tmp_path / "out.ppm", tmp_path / "nowhere", expect=2)
    run(restore, photo, tmp_path / "out.ppm", broken, expect=5)
    run(restore, photo, tmp_path / "out.ppm", DIT4SR_ENVIRONMENT=str(tmp_path), expect=3)
    assert not (tmp_path / "out.ppm").exists()


EXTENSION = """
#include <dit4sr.h>
int side_of_output(const char *bundle) {
    dit4sr_options options = {.size = sizeof options, .bundle = bundle};
    dit4sr_upscaler *upscaler;
    uint32_t width = 0, height = 0;
    if (dit4sr_open(&options, &upscaler) || dit4sr_output_size(upscaler, 0, 10, 12, &width, &height))
        return 0;
    return dit4sr_close(upscaler, DIT4SR_CLOSE_WAITS) ? 0 : (int)width;
}
"""


def test_an_extension_module_brings_no_second_python(environment, tmp_path):
    """Loaded by a Python that holds its lock while it calls, as pybind11's and nanobind's do."""
    (tmp_path / "extension.c").write_text(EXTENSION)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(extension LANGUAGES C)\n"
        "find_package(dit4sr 0.1 REQUIRED)\nadd_library(extension MODULE extension.c)\n"
        "target_link_libraries(extension dit4sr::module)\n"
    )
    place = run(environment / "bin" / "python", "-m", "dit4sr.native", "--cmake-dir").strip()
    run(tool("cmake"), "-S", tmp_path, "-B", tmp_path / "build", f"-Ddit4sr_DIR={place}", CC=tool("gcc"))
    run(tool("cmake"), "--build", tmp_path / "build")
    library = tmp_path / "build" / "libextension.so"
    assert b"libpython" not in library.read_bytes()
    script = f"import ctypes; print(ctypes.PyDLL({str(library)!r}).side_of_output(None))"
    assert run(environment / "bin" / "python", "-c", script) == "40\n"


MODULE = """
#include <dit4sr.hpp>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
namespace py = pybind11;
using Levels = py::array_t<std::uint8_t, py::array::c_style>;

static Levels restored(
    dit4sr::Upscaler &upscaler, const Levels &photo, std::uint64_t seed, bool holds_the_lock
) {
    dit4sr::Request request;
    request.seed = seed;
    auto side = [&](int axis) { return static_cast<std::uint32_t>(photo.shape(axis)); };
    const dit4sr::View view{photo.data(), side(1), side(0), side(2)};
    auto restore = [&] { return upscaler.upscale(view, request); };
    auto free_of_it = [&] { py::gil_scoped_release released; return restore(); };
    const dit4sr::Picture picture = holds_the_lock ? restore() : free_of_it();
    return Levels({picture.height(), picture.width(), picture.channels()}, picture.data());
}

PYBIND11_MODULE(module, m) {
    py::register_exception<dit4sr::Error>(m, "Error");
    py::class_<dit4sr::Upscaler>(m, "Upscaler")
        .def(py::init([](const std::string &bundle) {
            dit4sr::Options options;
            options.bundle = bundle;
            return dit4sr::Upscaler(options);
        }), py::arg("bundle") = "")
        .def("restored", &restored);
}
"""
BOTH_IN_ONE_PROCESS = """
import sys, threading
import numpy as np
import module
from dit4sr.runtime import Upscaler

photo = np.load(sys.argv[1])
ours, theirs, found = Upscaler(use_cache=False), module.Upscaler(), {}
expected = [ours(photo, seed=seed).picture for seed in (0, 1)]
def restore(seed, holds_the_lock):
    found[seed, holds_the_lock] = theirs.restored(photo, seed, holds_the_lock)
threads = [threading.Thread(target=restore, args=(seed, held)) for seed in (0, 1) for held in (False, True)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert all(np.array_equal(picture, expected[seed]) for (seed, _), picture in found.items())
try:
    module.Upscaler("/nowhere")
except module.Error as error:
    print(len(found), error)
"""


def test_a_module_of_pybind11_and_python_itself_restore_in_one_process(environment, tmp_path):
    """From several threads at once, holding Python's lock and not."""
    tool("g++")
    (tmp_path / "module.cpp").write_text(MODULE)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(module LANGUAGES C CXX)\n"
        "find_package(dit4sr REQUIRED)\nfind_package(pybind11 REQUIRED)\n"
        "pybind11_add_module(module module.cpp)\ntarget_link_libraries(module PRIVATE dit4sr::module)\n"
    )
    python, places = environment / "bin" / "python", {}
    for name, package in (("dit4sr", "dit4sr.native"), ("pybind11", "pybind11")):
        option = "--cmake-dir" if name == "dit4sr" else "--cmakedir"
        places[f"-D{name}_DIR"] = run(python, "-m", package, option).strip()
    settings = [f"{name}={place}" for name, place in places.items()]
    settings += [f"-DPython_EXECUTABLE={python}", "-DPYBIND11_FINDPYTHON=ON", "-DCMAKE_CXX_STANDARD=17"]
    run(tool("cmake"), "-S", tmp_path, "-B", tmp_path / "build", *settings, CC=tool("gcc"), CXX=tool("g++"))
    run(tool("cmake"), "--build", tmp_path / "build")
    np.save(tmp_path / "photo.npy", sample("coffee", 40, 36))
    printed = run(
        *(python, "-c", BOTH_IN_ONE_PROCESS, tmp_path / "photo.npy"), PYTHONPATH=str(tmp_path / "build")
    )
    assert printed.startswith("4 ")
    assert "/nowhere" in printed


def test_a_python_without_dit4sr_is_no_place_to_find_it(environment, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(none LANGUAGES C)\nfind_package(dit4sr REQUIRED)\n"
    )
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "empty")
    place = run(environment / "bin" / "python", "-m", "dit4sr.native", "--cmake-dir").strip()
    python = f"-Ddit4sr_PYTHON={tmp_path / 'empty' / 'bin' / 'python'}"
    run(tool("cmake"), "-S", tmp_path, "-B", tmp_path / "b", f"-Ddit4sr_DIR={place}", python, expect=1)
