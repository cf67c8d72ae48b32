// SPDX-License-Identifier: Apache-2.0
// precompiletest PATH... [--jobs N]: runs precompile vectors.
#include "tests/conformance/precompiletest.hpp"

int main(int argc, char** argv) {
    return trainyard::conformance::run_program(argc, argv,
                                               trainyard::conformance::run_precompile_file);
}
