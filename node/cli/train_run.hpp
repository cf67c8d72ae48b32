// SPDX-License-Identifier: Apache-2.0
// One run of `trainyard train`, in one process of perhaps several.
#pragma once

#include <functional>
#include <memory>

#include "node/cli/commands.hpp"
#include "node/verify/backend_choice.hpp"
#include "training/crew.hpp"
#include "training/program.hpp"

namespace trainyard::node::cli {

using MakeBackend = std::function<std::unique_ptr<training::Backend>(
    const training::Program& program, const verify::BackendOptions& options)>;

/// What a run computes with.
struct TrainParts {
    MakeBackend make_backend;
    std::unique_ptr<training::Crew> crew;  ///< nullptr: one process alone
};

/// Trains and writes the model; gives the exit code. Where memory changes the state it goes back to
/// the checkpoint in the folder, or to the first state, with all processes of a crew.
int run_training(const Output& out, const TrainArgs& args, TrainParts parts);

}  // namespace trainyard::node::cli
