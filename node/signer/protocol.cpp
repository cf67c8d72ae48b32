// SPDX-License-Identifier: Apache-2.0
// Requests and replies as lists that begin with their kind.
#include "node/signer/protocol.hpp"

namespace trainyard::node::signer {
namespace {

using consensus::bft::ChainIdentity;
using consensus::bft::Vote;
using consensus::bft::VoteKind;

enum Kind : uint64_t { kHello = 1, kSign, kProve, kNewest, kRaiseMark, kRefused };

void put_chain(rlp::Writer& out, const ChainIdentity& chain) {
    out.number(chain.chain_id).fixed(chain.genesis_hash);
}
ChainIdentity take_chain(rlp::Fields& in) {
    ChainIdentity chain;
    chain.chain_id = in.number();
    chain.genesis_hash = in.fixed<Hash>();
    return chain;
}
void put_position(rlp::Writer& out, const Position& at) {
    out.number(at.epoch.value).number(at.view.value);
}
Position take_position(rlp::Fields& in) {
    Position at;
    at.epoch = {in.number()};
    at.view = {in.number()};
    return at;
}

struct WriteRequest {
    rlp::Writer& out;
    void operator()(const HelloRequest& r) const { put_chain(out.number(kHello), r.chain); }
    void operator()(const SignRequest& r) const {
        put_chain(out.number(kSign), r.chain);
        out.number(static_cast<uint64_t>(r.vote.kind));
        put_position(out, {r.vote.epoch, r.vote.view});
        out.fixed(r.vote.block);
    }
    void operator()(const ProveRequest& r) const { out.number(kProve).bytes(r.alpha); }
    void operator()(const NewestRequest&) const { out.number(kNewest); }
    void operator()(const RaiseMarkRequest& r) const { put_position(out.number(kRaiseMark), r.to); }
};

struct WriteReply {
    rlp::Writer& out;
    void operator()(const KeysReply& r) const {
        out.number(kHello).fixed(r.consensus).fixed(r.vrf);
    }
    void operator()(const CompactSig& r) const { out.number(kSign).fixed(r); }
    void operator()(const vrf::Proof& r) const { out.number(kProve).fixed(r); }
    void operator()(const NewestReply& r) const {
        put_position(out.number(kNewest), r.newest);
        out.number(uint64_t{r.is_empty});
    }
    void operator()(const RaisedReply&) const { out.number(kRaiseMark); }
    void operator()(const Refusal& r) const {
        out.number(kRefused).number(static_cast<uint64_t>(r));
    }
};

template <class Write, class Message>
Bytes encode(const Message& message) {
    rlp::Writer out;
    out.begin_list();
    std::visit(Write{out}, message);
    out.end_list();
    return out.take();
}

SignRequest take_sign(rlp::Fields& in) {
    SignRequest out;
    out.chain = take_chain(in);
    const auto kind = in.number();
    const auto at = take_position(in);
    out.vote = {static_cast<VoteKind>(kind), at.epoch, at.view, in.fixed<Hash>(), 0, {}};
    const bool known = kind >= 1 && kind <= 3;
    // As on the wire: the block is zero exactly in a nullify.
    if (!known || (out.vote.kind == VoteKind::nullify) != out.vote.block.is_zero())
        in.fail(rlp::Error::bad_value);
    return out;
}

Request take_request(rlp::Fields& in) {
    switch (in.number()) {
        case kHello:
            return HelloRequest{take_chain(in)};
        case kSign:
            return take_sign(in);
        case kProve: {
            ProveRequest out{in.bytes()};
            if (out.alpha.size() > kAlphaBytesMax) in.fail(rlp::Error::too_long);
            return out;
        }
        case kNewest:
            return NewestRequest{};
        case kRaiseMark:
            return RaiseMarkRequest{take_position(in)};
        default:
            in.fail(rlp::Error::bad_value);
            return NewestRequest{};
    }
}

Reply take_reply(rlp::Fields& in) {
    switch (in.number()) {
        case kHello: {
            const auto consensus = in.fixed<PublicKey>();
            return KeysReply{consensus, in.fixed<PublicKey>()};
        }
        case kSign:
            return in.fixed<CompactSig>();
        case kProve:
            return in.fixed<vrf::Proof>();
        case kNewest: {
            const auto at = take_position(in);
            const auto flag = in.number();
            if (flag > 1) in.fail(rlp::Error::bad_value);
            return NewestReply{at, flag == 1};
        }
        case kRaiseMark:
            return RaisedReply{};
        case kRefused: {
            const auto code = in.number();
            if (code >= kRefusals) in.fail(rlp::Error::bad_value);
            return static_cast<Refusal>(code);
        }
        default:
            in.fail(rlp::Error::bad_value);
            return RaisedReply{};
    }
}

template <class Message, class Take>
Result<Message, rlp::Error> decode(BytesView encoded, Take take) {
    if (encoded.size() > kFrameBytesMax) return unexpected(rlp::Error::too_long);
    rlp::Fields in(encoded);
    Message out;
    in.list([&](rlp::Fields& fields) {
        out = take(fields);
        // A nested failure is not the outer reader's, so it is passed on.
        if (const auto end = fields.finish(); !end) in.fail(end.error());
    });
    if (const auto end = in.finish(); !end) return unexpected(end.error());
    return out;
}

}  // namespace

Bytes encode_request(const Request& request) {
    return encode<WriteRequest>(request);
}
Result<Request, rlp::Error> decode_request(BytesView encoded) {
    return decode<Request>(encoded, take_request);
}
Bytes encode_reply(const Reply& reply) {
    return encode<WriteReply>(reply);
}
Result<Reply, rlp::Error> decode_reply(BytesView encoded) {
    return decode<Reply>(encoded, take_reply);
}

}  // namespace trainyard::node::signer
