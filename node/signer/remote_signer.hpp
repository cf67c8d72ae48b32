// SPDX-License-Identifier: Apache-2.0
// A node's side of a signer process: asks, checks the answer, and says when nobody answers.
#pragma once

#include <memory>
#include <mutex>

#include "consensus/bft/bft.hpp"
#include "node/runtime/runtime.hpp"
#include "node/signer/channel.hpp"
#include "node/signer/guarded_signer.hpp"
#include "node/signer/protocol.hpp"

namespace trainyard::node::signer {

/// While the signer does not answer every request is refused at once; a connection is tried anew
/// every half second at most. Requests block the caller for at most `timeout_ms`.
class RemoteSigner final : public consensus::bft::Signer {
public:
    struct Options {
        ChannelAddress address;
        consensus::bft::ChainIdentity chain;
        std::unique_ptr<p2p::TlsContext> tls;  ///< null: a Unix socket
        uint32_t timeout_ms = 1000;
        GuardedSigner::OnRefusal on_refusal;
        /// The signer went away ("why"), or is there again ("").
        std::function<void(const std::string& why)> on_change;
    };
    /// Waits up to `patience_ms` for the signer, and asks for its keys, which may not change later.
    [[nodiscard]] static Result<std::unique_ptr<RemoteSigner>, std::string> open(
        Options options, const runtime::Clock& clock, uint32_t patience_ms);

    [[nodiscard]] std::optional<CompactSig> sign(const consensus::bft::ChainIdentity& chain,
                                                 const consensus::bft::Vote& vote) override;
    [[nodiscard]] std::optional<VrfOutput> prove(BytesView alpha) override;
    [[nodiscard]] std::optional<NewestReply> newest();
    [[nodiscard]] bool raise_mark(const Position& to);

    [[nodiscard]] const KeysReply& keys() const { return keys_; }
    /// Why the signer does not answer; empty while it does. From any thread.
    [[nodiscard]] std::string trouble() const;
    [[nodiscard]] RefusalCounts refusals() const;

private:
    RemoteSigner(Options options, const runtime::Clock& clock)
        : options_(std::move(options)), clock_(clock) {}
    [[nodiscard]] std::optional<Reply> ask(const Request& request);
    [[nodiscard]] std::optional<Reply> exchange(const Request& request);
    [[nodiscard]] bool connect();
    void lose(const std::string& why);

    const Options options_;
    const runtime::Clock& clock_;
    KeysReply keys_;
    std::mutex asking_;  ///< one request at a time
    std::optional<Channel> channel_;
    uint64_t next_try_ms_ = 0;
    mutable std::mutex mutex_;
    std::string trouble_;
    RefusalCounts refusals_{};
};

}  // namespace trainyard::node::signer
