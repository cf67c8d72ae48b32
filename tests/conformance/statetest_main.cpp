// SPDX-License-Identifier: Apache-2.0
// statetest PATH... [--fork NAME] [--exclude FILE] [--jobs N]: runs state vectors.
#include "tests/conformance/statetest.hpp"

int main(int argc, char** argv) {
    return trainyard::conformance::run_program(argc, argv, trainyard::conformance::run_state_file);
}
