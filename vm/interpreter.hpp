// SPDX-License-Identifier: Apache-2.0
// The EVM: runs the code of one frame; calls go through the host, which comes back here one level
// deeper.
#pragma once

#include <memory>
#include <vector>

#include "vm/code.hpp"
#include "vm/host.hpp"
#include "vm/machine.hpp"
#include "vm/revision.hpp"
#include "vm/tracer.hpp"
#include "vm/watch.hpp"

namespace trainyard::vm {

/// Owns the stacks and memories of frames, one per depth, so that a call allocates nothing.
/// Not for two threads at once.
class Interpreter {
public:
    explicit Interpreter(Revision revision, Tracer* tracer = nullptr, Watch* watch = nullptr)
        : revision_(revision), tracer_(tracer), watch_(watch) {}
    Interpreter(const Interpreter&) = delete;
    Interpreter& operator=(const Interpreter&) = delete;

    /// Runs `code` for `message` (0 <= depth <= 1024). Effects on the world of a frame that does
    /// not succeed are left to the host to undo.
    [[nodiscard]] CallResult run(Host& host, const Message& message, const Code& code);

    [[nodiscard]] Revision revision() const { return revision_; }
    [[nodiscard]] Tracer* tracer() const { return tracer_; }

private:
    struct Frame {
        std::unique_ptr<Uint256[]> stack;
        Memory memory;
    };
    Frame& frame_at(int depth);
    [[nodiscard]] Ending run_frame(Machine& m, Uint256* stack);
    [[nodiscard]] Ending run_untraced(Machine& m, Uint256* stack);
    [[nodiscard]] Ending run_watched(Machine& m, Uint256* stack);

    Revision revision_;
    Tracer* tracer_;
    Watch* watch_;
    std::vector<std::unique_ptr<Frame>> frames_;
};

}  // namespace trainyard::vm
