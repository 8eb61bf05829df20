import pytest
from tests.wootz.cuda.emulator import Emulator, compiler


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    if compiler() is None:
        pytest.skip("no C++ compiler: the kernels cannot be compiled for the host (install g++ or the ziglang wheel)")
    return Emulator(tmp_path_factory.mktemp("kernels"))
