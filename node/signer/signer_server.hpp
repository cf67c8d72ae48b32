// SPDX-License-Identifier: Apache-2.0
// Answers nodes that ask for signatures: the part of a signer process that holds the keys.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "node/signer/channel.hpp"
#include "node/signer/guarded_signer.hpp"
#include "node/signer/protocol.hpp"

namespace trainyard::node::signer {

/// The answer to one request. Proofs are given for the beacon of the database's chain only.
[[nodiscard]] Reply answer(const Request& request, GuardedSigner& keys, SigningDb& db,
                           const KeysReply& public_keys);

/// A thread for each connection; `start` and `stop` once.
class SignerServer {
public:
    static constexpr size_t kConnectionsMax = 16;
    static constexpr uint32_t kTimeoutMs = 2000;  ///< of a frame once it has begun, and a handshake

    struct Parts {
        GuardedSigner& keys;
        SigningDb& db;
        KeysReply public_keys;
        const p2p::TlsContext* tls = nullptr;  ///< null: a Unix socket
        std::vector<PublicKey> allowed;        ///< with TLS: who may ask
        std::function<void(const std::string&)> say;
    };
    SignerServer(Parts parts, Listener listener)
        : parts_(std::move(parts)), listener_(std::move(listener)) {}
    ~SignerServer() { stop(); }

    void start();
    void stop();
    [[nodiscard]] uint16_t port() const { return listener_.port(); }

private:
    struct Connection {
        std::thread thread;
        std::atomic<bool> is_over{false};
    };
    void accept_all();
    void serve(int fd);
    void collect(bool all);

    const Parts parts_;
    const Listener listener_;
    std::atomic<bool> stopping_{false};
    std::thread acceptor_;
    std::vector<std::unique_ptr<Connection>> connections_;  ///< of the acceptor alone
};

}  // namespace trainyard::node::signer
