// SPDX-License-Identifier: Apache-2.0
// What a provider keeps of one job on disk: states at segment borders, records, the log of the
// gradients, that of the losses.
#pragma once

#include <optional>
#include <string>

#include "core/result.hpp"
#include "node/wallet/error.hpp"
#include "training/segment.hpp"

namespace trainyard::node::provider {

inline constexpr size_t kStateBytesMax = size_t{16} << 30;  ///< of an encoded state

/// A segment that has no end.
struct Divergence {
    uint32_t seg = 0;
    uint32_t step = 0;     ///< of the segment, counted from 1, in which Inf or NaN comes up
    uint32_t attempt = 0;  ///< of the job: a claim that was found wrong is not made again
    Hash first_root;       ///< of the state that it begins with
    bool operator==(const Divergence&) const = default;
};

/// States and records are written beside and renamed, so a crash leaves whole files only. The log
/// of a segment's gradients (gradient_file.hpp) need not be whole: training the segment again from
/// its first state gives the same bits.
class JobFolder {
public:
    JobFolder(std::string path, const training::Program& program);

    /// Cleans up after a process that was killed: files that it had begun to write, which may be as
    /// large as states, and half a line of losses. Before anything is written.
    void mend();

    /// The state before segment `seg`; nullopt if it is not there or damaged.
    [[nodiscard]] std::optional<training::ModelState> load_state(uint32_t seg) const;
    /// Error: why it cannot be had.
    [[nodiscard]] Result<training::SegmentRecord, std::string> load_record(uint32_t seg) const;
    /// The encoding of the same state.
    [[nodiscard]] Result<Bytes, wallet::WalletError> load_encoded_state(uint32_t seg) const;
    /// A finished segment: its record and the state after it.
    [[nodiscard]] Result<Done, wallet::WalletError> keep(uint32_t seg,
                                                         const training::SegmentRecord& record,
                                                         const training::ModelState& after);
    /// The state before segment `seg` as another provider left it, checked by the caller.
    [[nodiscard]] Result<Done, wallet::WalletError> keep_state(uint32_t seg, BytesView encoded);
    [[nodiscard]] Result<Done, wallet::WalletError> keep_divergence(const Divergence& found);
    /// What was kept of that segment; nullopt if nothing.
    [[nodiscard]] std::optional<Divergence> load_divergence(uint32_t seg) const;
    /// Where the gradients of segment `seg` are logged.
    [[nodiscard]] std::string log_path(uint32_t seg) const { return file("gradients", seg); }
    /// The same for a log that begins: of a file that is not needed any more where there is one, as
    /// writing over it takes a fraction of the time.
    [[nodiscard]] std::string begin_log(uint32_t seg) const;
    void forget_log(uint32_t seg) const;  ///< its file may be taken up for another segment
    void forget_logs() const;             ///< and their files
    /// Adds one line; steps that are there already are not written again.
    void log_loss(uint32_t step, uint32_t loss_bits);
    /// Removes states and logs before segment `seg`; the records stay, they are small.
    void forget_before(uint32_t seg);

private:
    [[nodiscard]] std::string file(const char* kind, uint32_t seg) const;

    std::string path_;
    const training::Program& program_;
    Hash program_id_;
    uint32_t forgotten_ = 0;
    uint32_t next_step_ = 0;
};

/// Removes the states and logs of a job that is over; records and losses stay.
void forget_states(const std::string& folder);

/// Keeps with a job that auditors did not confirm what was claimed of its run: that it diverges. So
/// a machine that errs is fined once, and not once for each process.
[[nodiscard]] Result<Done, wallet::WalletError> keep_refuted(const std::string& folder,
                                                             const Hash& run_seed);
[[nodiscard]] bool is_refuted(const std::string& folder, const Hash& run_seed);

}  // namespace trainyard::node::provider
