// SPDX-License-Identifier: Apache-2.0
// The program `trainyard`: everything is one of its commands.
#include "node/cli/app.hpp"
#include "node/runtime/process.hpp"

int main(int argc, char** argv) {
    trainyard::runtime::fill_standard_descriptors();
    trainyard::runtime::raise_open_files();  // before LevelDB looks at the limit
    return trainyard::node::cli::run_app(argc, argv);
}
