// SPDX-License-Identifier: Apache-2.0
// The crew that `mpirun` starts; the only home of MPI.
#pragma once

#include <memory>
#include <string>

#include "core/result.hpp"
#include "training/crew.hpp"

namespace trainyard::node::mpi {

/// Joins the processes that mpirun started; nullptr if this one was not started by mpirun. Error:
/// started by mpirun, but this build has no MPI. Called once; leaves when the crew is destroyed.
[[nodiscard]] Result<std::unique_ptr<training::Crew>, std::string> join_crew();

/// Ends every process of the crew with `status`: for one that cannot go on while others wait for
/// it.
[[noreturn]] void end_crew(int status);

}  // namespace trainyard::node::mpi
