"""Plans are known by the digests of the kernels they carry: the runtime's table is that of the code."""

import ast
import hashlib
from pathlib import Path

import pytest

import dit4sr.kernels.depthwise_inject
import dit4sr.kernels.joint_attention
from dit4sr.runtime.backends.tensorrt.compatibility import DIGESTS

PACKAGES = {
    "DepthwiseInject": dit4sr.kernels.depthwise_inject,
    "JointAttention": dit4sr.kernels.joint_attention,
    "JointAttentionDual": dit4sr.kernels.joint_attention,
    "JointAttentionFinal": dit4sr.kernels.joint_attention,
}
MODULES = ("kernel.py", "plugin.py")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def digest_of(*sources: str) -> str:
    """Of what runs: neither comments nor layout nor what docstrings say."""
    code = []
    for source in sources:
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
                del node.body[0]
        code.append(ast.unparse(tree))
    return hashlib.sha256("\n".join(code).encode()).hexdigest()[:8]


@pytest.mark.parametrize("operator", DIGESTS)
def test_the_runtime_knows_the_kernels_as_they_are(operator):
    """A kernel was changed? Put the digest found here into the table: older plans are then refused."""
    [folder] = PACKAGES[operator].__path__
    assert DIGESTS[operator] == digest_of(*((Path(folder) / module).read_text() for module in MODULES))


def test_a_digest_is_that_of_the_code_alone():
    code = digest_of("def f(x):\n    return x * 1.2\n")
    assert digest_of('"""Said."""\ndef f(x):  # why\n    "Scale."\n    return (x * 1.2)\n') == code
    assert digest_of("def f(x):\n    return x * 1.3\n") != code
