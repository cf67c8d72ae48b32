// SPDX-License-Identifier: Apache-2.0
// blocktest PATH... [--fork NETWORK] [--exclude FILE] [--jobs N]: runs block vectors.
#include "tests/conformance/blocktest.hpp"

int main(int argc, char** argv) {
    return trainyard::conformance::run_program(argc, argv, trainyard::conformance::run_block_file);
}
