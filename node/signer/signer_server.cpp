// SPDX-License-Identifier: Apache-2.0
// Connections, requests and answers of a signer.
#include "node/signer/signer_server.hpp"

#include <algorithm>

#include <unistd.h>

#include "consensus/beacon/beacon.hpp"

namespace trainyard::node::signer {
namespace {

constexpr int kStopCheckMs = 100;

/// The VRF key speaks for the beacon of its chain and for nothing else.
bool is_beacon_alpha(BytesView alpha, const consensus::bft::ChainIdentity& chain) {
    constexpr size_t kVarying = 8 + Hash::size();  // height and parent
    const Bytes model = consensus::beacon_alpha(chain.chain_id, chain.genesis_hash, {}, {});
    const size_t fixed = model.size() - kVarying;
    return alpha.size() == model.size() &&
           std::equal(model.begin(), model.begin() + static_cast<std::ptrdiff_t>(fixed),
                      alpha.begin());
}

}  // namespace

Reply answer(const Request& request, GuardedSigner& keys, SigningDb& db,
             const KeysReply& public_keys) {
    struct Visitor {
        GuardedSigner& keys;
        SigningDb& db;
        const KeysReply& public_keys;
        Reply operator()(const HelloRequest& r) const {
            if (r.chain != db.owner().chain) return Refusal::other_chain;
            return public_keys;
        }
        Reply operator()(const SignRequest& r) const {
            const auto signature = keys.sign_or_why(r.chain, r.vote);
            if (!signature) return signature.error();
            return *signature;
        }
        Reply operator()(const ProveRequest& r) const {
            if (!is_beacon_alpha(r.alpha, db.owner().chain)) return Refusal::other_chain;
            return keys.prove(r.alpha)->proof;
        }
        Reply operator()(const NewestRequest&) const {
            return NewestReply{db.newest(), db.is_empty()};
        }
        Reply operator()(const RaiseMarkRequest& r) const {
            // A node sets a mark to begin behind it; only a person retires a key.
            if (r.to == kNoMore) return Refusal::below_mark;
            if (!db.raise_mark(r.to)) return Refusal::not_stored;
            return RaisedReply{};
        }
    };
    return std::visit(Visitor{keys, db, public_keys}, request);
}

void SignerServer::start() {
    acceptor_ = std::thread([this] { accept_all(); });
}

void SignerServer::stop() {
    stopping_ = true;
    if (acceptor_.joinable()) acceptor_.join();
}

void SignerServer::accept_all() {
    while (!stopping_) {
        const int fd = listener_.accept(kStopCheckMs);
        collect(false);
        if (fd < 0) continue;
        if (connections_.size() >= kConnectionsMax) {
            ::close(fd);
            continue;
        }
        auto& made = *connections_.emplace_back(std::make_unique<Connection>());
        made.thread = std::thread([this, fd, &made] {
            serve(fd);
            made.is_over = true;
        });
    }
    collect(true);
}

void SignerServer::collect(bool all) {
    std::erase_if(connections_, [&](const auto& connection) {
        if (!all && !connection->is_over) return false;
        connection->thread.join();
        return true;
    });
}

void SignerServer::serve(int fd) {
    auto channel = Channel::accept(fd, parts_.tls, kTimeoutMs);
    if (!channel) return parts_.say("a connection was refused: " + channel.error());
    if (parts_.tls != nullptr && std::find(parts_.allowed.begin(), parts_.allowed.end(),
                                           channel->peer()) == parts_.allowed.end())
        return parts_.say("a node with the key " + to_hex(channel->peer()->bytes) +
                          " is not among those allowed");
    parts_.say("a node has connected");
    while (!stopping_) {
        if (!channel->has_input(kStopCheckMs)) continue;
        const auto frame = channel->read_frame();
        if (!frame) return parts_.say("a node has left");
        const auto request = decode_request(*frame);
        if (!request) return parts_.say("a connection was closed: what it sent is no request");
        const Reply reply = answer(*request, parts_.keys, parts_.db, parts_.public_keys);
        if (!channel->write_frame(encode_reply(reply))) return parts_.say("a node has left");
    }
}

}  // namespace trainyard::node::signer
