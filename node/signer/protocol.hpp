// SPDX-License-Identifier: Apache-2.0
// What a node asks of a signer process, and the answers: RLP in frames of a little-endian length.
#pragma once

#include <variant>

#include "core/rlp.hpp"
#include "node/signer/history.hpp"

namespace trainyard::node::signer {

/// A frame is u32 length | payload; nothing longer is read.
inline constexpr size_t kFrameBytesMax = 1024;
inline constexpr size_t kAlphaBytesMax = 256;

struct HelloRequest {
    consensus::bft::ChainIdentity chain;
    bool operator==(const HelloRequest&) const = default;
};
/// The vote's signer index and signature are not part of it.
struct SignRequest {
    consensus::bft::ChainIdentity chain;
    consensus::bft::Vote vote;
    bool operator==(const SignRequest&) const = default;
};
struct ProveRequest {
    Bytes alpha;
    bool operator==(const ProveRequest&) const = default;
};
/// Which position does the signing database know last?
struct NewestRequest {
    bool operator==(const NewestRequest&) const = default;
};
/// Sign nothing below.
struct RaiseMarkRequest {
    Position to;
    bool operator==(const RaiseMarkRequest&) const = default;
};
using Request =
    std::variant<HelloRequest, SignRequest, ProveRequest, NewestRequest, RaiseMarkRequest>;

struct KeysReply {
    PublicKey consensus, vrf;
    bool operator==(const KeysReply&) const = default;
};
struct NewestReply {
    Position newest;
    bool is_empty = false;
    bool operator==(const NewestReply&) const = default;
};
struct RaisedReply {
    bool operator==(const RaisedReply&) const = default;
};
using Reply = std::variant<KeysReply, CompactSig, vrf::Proof, NewestReply, RaisedReply, Refusal>;

// decode(encode(m)) gives m; nothing else decodes.
[[nodiscard]] Bytes encode_request(const Request& request);
[[nodiscard]] Result<Request, rlp::Error> decode_request(BytesView encoded);
[[nodiscard]] Bytes encode_reply(const Reply& reply);
[[nodiscard]] Result<Reply, rlp::Error> decode_reply(BytesView encoded);

}  // namespace trainyard::node::signer
