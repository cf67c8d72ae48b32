// SPDX-License-Identifier: Apache-2.0
// `trainyard snapshot`: the state of a final block out of a data folder, checked, and into another.
#pragma once

#include <string>

#include "node/cli/output.hpp"

namespace trainyard::node::cli {

struct SnapshotArgs {
    std::string datadir = "trainyard-data";
    std::string folder;   ///< of the snapshot
    std::string genesis;  ///< import: the file that the chain began with
    std::string hash;     ///< import, verify: of the block that it must be
};
int run_snapshot_export(const Output& out, const SnapshotArgs& args);
int run_snapshot_verify(const Output& out, const SnapshotArgs& args);
int run_snapshot_import(const Output& out, const SnapshotArgs& args);

}  // namespace trainyard::node::cli
