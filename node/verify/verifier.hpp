// SPDX-License-Identifier: Apache-2.0
// What checks training: audits of drawn units, replays of whole segments and a challenger's turns
// before the referee, behind one seam.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "node/verify/backend_choice.hpp"
#include "node/verify/content.hpp"
#include "training/audit.hpp"
#include "training/piecewise_root.hpp"

namespace trainyard::node::verify {

/// What all segments of a job share. Bytes from others are checked, not trusted.
struct JobCase {
    Bytes program;    ///< canonical encoding
    Hash program_id;  ///< what it must hash to
    Content data;
    Hash run_seed;
};

struct SegmentCase {
    training::SegmentClaim claim;
    Content last_state;  ///< blob that must be the state with root claim.last_root
    /// Its root, where it was found while the blob arrived, which then is not here.
    std::optional<Result<Hash, training::StateError>> last_found = {};
};

struct Audit {
    SegmentCase segment;
    training::AuditDraws draws;
    Content bundle;
};

/// Audits of one job at once: its program and data travel and are opened once.
struct AuditRequest {
    JobCase job;
    std::vector<Audit> audits;
    uint64_t patience_ms = 0;  ///< after which no answer is of use; 0: the verifier's own limit
};
/// Audits that one request may hold.
inline constexpr size_t kAuditsMax = 16;

struct ReplayRequest {
    JobCase job;
    training::SegmentClaim claim;
    uint32_t loss_bits = 0;  ///< claimed for the last step
    Hash last_blob;          ///< id of the blob that must be the state with root claim.last_root
    /// Nobody has that blob: a match brings its bytes, unless they are more than that.
    uint64_t last_bytes_max = 0;
    Content first_state;  ///< blob of S_first; without meaning in a run's first segment
    /// Claimed: the step of the segment, counted from 1, at which training diverges; then what is
    /// said above of its end has no meaning. 0: it has one.
    uint32_t diverges_at = 0;
    uint64_t patience_ms = 0;  ///< as above
};

/// The verdict about the provider's claim.
struct VerifyAnswer {
    bool matches = false;
    std::vector<Hash> answers;  ///< unit leaves in draw order, or one replay digest; may be empty
    std::string finding;        ///< what differs and where, for people
    Content last_state = {};    ///< of a replay that matches, where it was asked for
    bool operator==(const VerifyAnswer&) const = default;
};

/// One turn of a challenger before the referee.
struct PickRequest {
    ReplayRequest segment;  ///< of it job, claim and first_state alone have meaning
    Bytes state;            ///< of the referee, where it is the challenger's turn
};
/// Longer ones fit into no transaction, so that nobody can play them.
inline constexpr size_t kRefereeStateBytesMax = size_t{128} << 10;
/// What to point at; nothing: all that was shown is right.
using Pick = std::optional<uint32_t>;

enum class VerifyErrorCode {
    bad_request,  ///< our own request is not sound (a bug, or a job that should not exist)
    out_of_memory,
    timed_out,
    died,           ///< the process ended; it was started again
    unavailable,    ///< no process can be started, or no back end passes its self-test
    device_failed,  ///< the GPU; the process is of no further use
};
struct VerifyError {
    VerifyErrorCode code = VerifyErrorCode::bad_request;
    std::string text;
    bool operator==(const VerifyError&) const = default;
};

using AuditResult = Result<VerifyAnswer, VerifyError>;

/// What a verifier process cannot do any more, see sandbox.hpp.
struct Confinement {
    bool files = false, calls = false;
    [[nodiscard]] bool is_whole() const { return files && calls; }
    bool operator==(const Confinement&) const = default;
};

/// Errors say that this machine could not judge; a wrong claim is an answer that does not match.
class Verifier {
public:
    virtual ~Verifier() = default;
    [[nodiscard]] virtual std::string name() = 0;  ///< "cpu avx512", "cuda NVIDIA H100"
    /// One result for each audit, in order; an error where none could be judged.
    [[nodiscard]] virtual Result<std::vector<AuditResult>, VerifyError> audit(
        const AuditRequest& request) = 0;
    [[nodiscard]] virtual Result<VerifyAnswer, VerifyError> replay(
        const ReplayRequest& request) = 0;
    /// The state is what the chain has the hash of. What the turn before has computed of the
    /// segment serves the next one.
    [[nodiscard]] virtual Result<Pick, VerifyError> pick(const PickRequest& request) = 0;
    /// What takes the bytes of a segment's last state as they arrive, of which an audit needs the
    /// root alone; `job` is without its data then. Nothing: they are to be kept.
    [[nodiscard]] virtual std::optional<training::PiecewiseRoot> open_last_state(
        const JobCase& /*job*/, uint64_t /*size_bytes*/) {
        return std::nullopt;
    }
    /// Gives back what it keeps from one request to the next; later ones begin anew.
    virtual void rest() {}
};

/// Judges in this process and thread, on a backend that has passed its self-test; what does not
/// fit on a device is judged on the CPU. There activations are made again where a process of
/// `memory_bytes_max` asks for it (0: no limit), and what does not fit even so is refused with
/// both numbers. Not thread-safe.
[[nodiscard]] std::unique_ptr<Verifier> make_local_verifier(BackendChoice choice, unsigned threads,
                                                            uint64_t memory_bytes_max = 0);
[[nodiscard]] std::unique_ptr<Verifier> make_local_verifier(const BackendOptions& options);

}  // namespace trainyard::node::verify
