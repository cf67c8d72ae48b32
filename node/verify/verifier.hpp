// SPDX-License-Identifier: Apache-2.0
// What checks training: audits of drawn units and replays of whole segments, behind one seam.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/bytes.hpp"
#include "core/result.hpp"
#include "training/audit.hpp"

namespace trainyard::node::verify {

/// A segment of a job with all that judging it needs. Bytes from others are checked, not trusted.
struct SegmentCase {
    Bytes program;    ///< canonical encoding
    Hash program_id;  ///< what it must hash to
    Bytes data;
    Hash run_seed;
    training::SegmentClaim claim;
    Bytes last_state;  ///< blob that must be the state with root claim.last_root
};

struct AuditRequest {
    SegmentCase segment;
    training::AuditDraws draws;
    Bytes bundle;
};

struct ReplayRequest {
    SegmentCase segment;
    Bytes first_state;  ///< blob of S_first; empty: the run starts here, from its seed
};

/// The verdict about the provider's claim.
struct VerifyAnswer {
    bool matches = false;
    std::vector<Hash> answers;  ///< unit leaves in draw order, or one replay digest; may be empty
    std::string finding;        ///< what differs and where, for people
    bool operator==(const VerifyAnswer&) const = default;
};

enum class VerifyErrorCode {
    bad_request,  ///< our own request is not sound (a bug, or a job that should not exist)
    out_of_memory,
    timed_out,
    died,         ///< the process ended; it was started again
    unavailable,  ///< no process can be started
};
struct VerifyError {
    VerifyErrorCode code = VerifyErrorCode::bad_request;
    std::string text;
};

/// Errors say that this machine could not judge; a wrong claim is an answer that does not match.
class Verifier {
public:
    virtual ~Verifier() = default;
    [[nodiscard]] virtual std::string name() = 0;  ///< "cpu avx512", "cuda NVIDIA H100"
    [[nodiscard]] virtual Result<VerifyAnswer, VerifyError> audit(const AuditRequest& request) = 0;
    [[nodiscard]] virtual Result<VerifyAnswer, VerifyError> replay(
        const ReplayRequest& request) = 0;
};

struct LocalOptions {
    unsigned threads = 1;
    bool allow_cuda = true;
};
/// Judges in this process and thread. Not thread-safe.
[[nodiscard]] std::unique_ptr<Verifier> make_local_verifier(LocalOptions options);

}  // namespace trainyard::node::verify
