// SPDX-License-Identifier: Apache-2.0
// Sends what the vote machine proves of another validator to the Staking contract.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/bytes.hpp"
#include "core/keys.hpp"
#include "core/result.hpp"
#include "core/uint256.hpp"

namespace trainyard::node::verify {

struct SlashReporterOptions {
    std::string rpc_url;  ///< the node's own
    SecretKey account;    ///< pays for the report and gets the bounty
    Uint256 fee_max_wei;  ///< for one gas
    uint32_t retry_ms = 2000;
    std::function<void(const std::string& text)> say;  ///< from the reporter's thread; may be empty
};

/// Its thread sends one report after the other until each is in a block or refused: a crash of the
/// node loses those that wait, which other validators send as well.
class SlashReporter {
public:
    [[nodiscard]] static Result<std::unique_ptr<SlashReporter>, std::string> start(
        SlashReporterOptions options);
    ~SlashReporter();
    /// From any thread. `votes`: consensus/bft/evidence.hpp. At most 256 wait; one per validator.
    void report(const Address& who, Bytes votes);
    [[nodiscard]] uint64_t slashed() const;  ///< validators, by this node's reports

private:
    struct Impl;
    explicit SlashReporter(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace trainyard::node::verify
