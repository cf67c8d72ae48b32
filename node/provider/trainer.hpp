// SPDX-License-Identifier: Apache-2.0
// Trains the segments of one job one after the other, ahead of the chain by a bounded number.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "node/provider/job_folder.hpp"
#include "training/engine.hpp"
#include "training/segment.hpp"

namespace trainyard::node::provider {

using Background = std::function<void(std::function<void()>)>;
using BackendMaker = std::function<std::unique_ptr<training::Backend>()>;

struct StepNote {
    uint32_t step = 0;  ///< done so far in the whole run
    uint32_t loss_bits = 0;
    uint64_t wrong_products = 0;  ///< that this step was made again for
};

struct TrainerOptions {
    training::Program program;
    Bytes data;
    Hash run_seed;
    uint32_t attempt = 0;  ///< of the job
    std::string folder;
    uint32_t segments = 0;
    uint32_t steps_per_segment = 0;
    uint32_t segments_ahead_max = 4;  ///< finished ones that wait to be taken
    training::Fault fault = training::Fault::none;
    BackendMaker make_backend;
    BackendMaker make_host_backend;  ///< on the CPU: has the last word on a divergence
    Background background;
    std::function<void(const StepNote&)> on_step;  ///< from the training thread; may be empty
    std::function<void(std::string)> on_note;      ///< the same, for people
};

/// The state before a segment, from the job's folder, or the initial one. The error tells that it
/// is not there or damaged.
[[nodiscard]] Result<training::ModelState, std::string> state_before(const TrainerOptions& job,
                                                                     uint32_t seg);

/// Thread-safe. The background task holds what it needs, so the trainer may go while it runs.
class Trainer {
public:
    explicit Trainer(TrainerOptions options);
    ~Trainer();  ///< a segment in progress is finished and thrown away

    /// Goes on from the state before `seg`, and forgets finished segments before it; begins nothing
    /// while already at work. Precondition: that state is in the folder, or `seg` is 0.
    void go_on(uint32_t seg);
    /// Takes a segment out that is finished, with its record and the state after it in the folder;
    /// nullopt if it is not.
    [[nodiscard]] std::optional<training::SegmentRecord> take(uint32_t seg);
    /// Where training ends because it diverges, as a second run has confirmed.
    [[nodiscard]] std::optional<Divergence> divergence() const;
    /// Why training stopped; empty while it did not.
    [[nodiscard]] std::string failure() const;
    /// Forgets the failure: `go_on` may begin once more.
    void try_again();
    /// No further segment; one in progress is finished and thrown away.
    void stop();
    /// Of the job, and kept for as long as somebody holds them.
    [[nodiscard]] std::shared_ptr<const TrainerOptions> job() const;
    /// Logs the gradients of a segment trained before once more, by training it again on the
    /// calling thread. The error is the reason.
    [[nodiscard]] Result<Done, std::string> rebuild(uint32_t seg);

    struct Shared;

private:
    std::shared_ptr<Shared> shared_;
};

}  // namespace trainyard::node::provider
