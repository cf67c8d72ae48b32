// SPDX-License-Identifier: Apache-2.0
// The canonical bytes of messages, and the digests that votes sign.
#include "consensus/bft/messages.hpp"

#include <bit>

#include "core/hash.hpp"

namespace trainyard::consensus::bft {
namespace {

enum class Tag : uint8_t {
    propose = 1,
    vote = 2,
    cert = 3,
    get_cert = 4,
    get_block = 5,
    block = 6,
    status = 7,
    repropose = 8,
    scatter = 9,
    shards = 10,
};

/// Reads fixed fields; after the first failure everything reads as zero and `error` stays set.
class Cursor {
public:
    explicit Cursor(BytesView data) : rest_(data) {}

    template <class T>
    T number() {
        const auto view = take(sizeof(T));
        return view.empty() ? T{0} : load_le<T>(view.data());
    }
    template <class T>
    T fixed() {
        const auto view = take(T::size());
        return view.empty() ? T{} : *fixed_from<T>(view);
    }
    BytesView take(size_t size) {
        if (error || size > rest_.size()) return fail(DecodeError::truncated), BytesView{};
        const auto view = rest_.first(size);
        rest_ = rest_.subspan(size);
        return view;
    }
    BytesView sized(size_t size_max) {
        const auto size = number<uint32_t>();
        if (size > size_max) return fail(DecodeError::too_long), BytesView{};
        return take(size);
    }
    void fail(DecodeError e) {
        if (!error) error = e;
    }
    void finish() {
        if (!rest_.empty()) fail(DecodeError::leftover);
    }

    std::optional<DecodeError> error;

private:
    BytesView rest_;
};

void put_sized(Bytes& to, BytesView bytes) {
    append_le<uint32_t>(to, static_cast<uint32_t>(bytes.size()));
    append(to, bytes);
}

VoteKind read_kind(Cursor& from) {
    const auto kind = from.number<uint8_t>();
    if (kind < 1 || kind > 3) from.fail(DecodeError::unknown_kind);
    return static_cast<VoteKind>(kind);
}

template <class VoteOrCertificate>
void read_subject(Cursor& from, VoteOrCertificate& out) {
    out.kind = read_kind(from);
    out.epoch.value = from.number<uint64_t>();
    out.view.value = from.number<uint64_t>();
    out.block = from.fixed<Hash>();
    if (out.kind == VoteKind::nullify && !out.block.is_zero())
        from.fail(DecodeError::not_canonical);
}

template <class VoteOrCertificate>
void put_subject(Bytes& to, const VoteOrCertificate& from) {
    to.push_back(static_cast<uint8_t>(from.kind));
    append_le<uint64_t>(to, from.epoch.value);
    append_le<uint64_t>(to, from.view.value);
    append(to, from.block.bytes);
}

Vote read_vote(Cursor& from) {
    Vote vote;
    read_subject(from, vote);
    vote.signer = from.number<uint16_t>();
    vote.signature = from.fixed<CompactSig>();
    return vote;
}

void put_vote(Bytes& to, const Vote& vote) {
    put_subject(to, vote);
    append_le<uint16_t>(to, vote.signer);
    append(to, vote.signature.bytes);
}

void put_certificate(Bytes& to, const Certificate& certificate) {
    put_subject(to, certificate);
    append_le<uint16_t>(to, certificate.set_size);
    append(to, certificate.signers);
    for (const auto& signature : certificate.signatures) append(to, signature.bytes);
}

Certificate read_certificate(Cursor& from) {
    Certificate out;
    read_subject(from, out);
    out.set_size = from.number<uint16_t>();
    if (out.set_size == 0 || out.set_size > kValidatorsMax) from.fail(DecodeError::too_long);
    if (from.error) return out;
    const auto bitmap = from.take((out.set_size + 7u) / 8);
    if (from.error) return out;
    out.signers.assign(bitmap.begin(), bitmap.end());
    size_t count = 0;
    for (const uint8_t byte : bitmap) count += static_cast<size_t>(std::popcount(byte));
    for (size_t bit = out.set_size; bit < bitmap.size() * 8; ++bit)
        if (out.has_signer(bit)) from.fail(DecodeError::not_canonical);
    if (count == 0) from.fail(DecodeError::not_canonical);
    for (size_t i = 0; i < count && !from.error; ++i)
        out.signatures.push_back(from.fixed<CompactSig>());
    return out;
}

void put_block(Bytes& to, const BlockData& block) {
    put_sized(to, encode_header(block.header));
    put_sized(to, block.body);
}

Header read_header(Cursor& from) {
    const auto bytes = from.sized(kHeaderSizeMax);
    if (from.error) return {};
    auto header = decode_header(bytes);
    if (header) return std::move(*header);
    from.fail(DecodeError::bad_header);
    return {};
}

BlockPtr read_block(Cursor& from) {
    Header header = read_header(from);
    const auto body = from.sized(kBodySizeMax);
    if (from.error) return nullptr;
    return make_block(std::move(header), Bytes(body.begin(), body.end()));
}

std::vector<CertPtr> read_justification(Cursor& from) {
    std::vector<CertPtr> out;
    const auto count = from.number<uint8_t>();
    if (count > kJustificationMax) from.fail(DecodeError::too_long);
    for (size_t i = 0; i < count && !from.error; ++i)
        out.push_back(std::make_shared<Certificate>(read_certificate(from)));
    return out;
}

void put_justification(Bytes& to, const std::vector<CertPtr>& justification) {
    to.push_back(static_cast<uint8_t>(justification.size()));
    for (const auto& certificate : justification) put_certificate(to, *certificate);
}

Message read_repropose(Cursor& from) {
    Repropose out;
    out.vote = read_vote(from);
    if (out.vote.kind != VoteKind::notarize) from.fail(DecodeError::not_canonical);
    out.justification = read_justification(from);
    return out;
}

Message read_propose(Cursor& from) {
    Propose out;
    out.leader = from.number<uint16_t>();
    out.signature = from.fixed<CompactSig>();
    out.block = read_block(from);
    out.justification = read_justification(from);
    if (out.block && !decode_seal(out.block->header.extra_data)) from.fail(DecodeError::bad_header);
    return out;
}

dispersal::Commitment read_commitment(Cursor& from) {
    dispersal::Commitment out;
    out.body_size_bytes = from.number<uint32_t>();
    out.root = from.fixed<Hash>();
    if (out.body_size_bytes == 0 || out.body_size_bytes > kBodySizeMax)
        from.fail(DecodeError::too_long);
    return out;
}

void put_commitment(Bytes& to, const dispersal::Commitment& commitment) {
    append_le<uint32_t>(to, commitment.body_size_bytes);
    append(to, commitment.root.bytes);
}

std::vector<dispersal::Shard> read_shards(Cursor& from) {
    std::vector<dispersal::Shard> out;
    const auto count = from.number<uint8_t>();
    for (size_t i = 0; i < count && !from.error; ++i) {
        dispersal::Shard shard;
        shard.index = from.number<uint16_t>();
        const auto levels = from.number<uint8_t>();
        if (levels > kShardPathMax) from.fail(DecodeError::too_long);
        for (size_t level = 0; level < levels && !from.error; ++level)
            shard.path.push_back(from.fixed<Hash>());
        const auto data = from.sized(kBodySizeMax);
        shard.data.assign(data.begin(), data.end());
        out.push_back(std::move(shard));
    }
    return out;
}

void put_shards(Bytes& to, const std::vector<dispersal::Shard>& shards) {
    to.push_back(static_cast<uint8_t>(shards.size()));
    for (const auto& shard : shards) {
        append_le<uint16_t>(to, shard.index);
        to.push_back(static_cast<uint8_t>(shard.path.size()));
        for (const auto& hash : shard.path) append(to, hash.bytes);
        put_sized(to, shard.data);
    }
}

Message read_scatter(Cursor& from) {
    Scatter out;
    out.leader = from.number<uint16_t>();
    out.signature = from.fixed<CompactSig>();
    out.header = read_header(from);
    out.justification = read_justification(from);
    out.commitment = read_commitment(from);
    out.shards = read_shards(from);
    if (!from.error && !decode_seal(out.header.extra_data)) from.fail(DecodeError::bad_header);
    return out;
}

Message read_shards_message(Cursor& from) {
    Shards out;
    out.epoch.value = from.number<uint64_t>();
    out.view.value = from.number<uint64_t>();
    out.block = from.fixed<Hash>();
    out.commitment = read_commitment(from);
    out.shards = read_shards(from);
    if (out.shards.empty()) from.fail(DecodeError::not_canonical);
    return out;
}

Message read_get_cert(Cursor& from) {
    GetCert out;
    out.epoch.value = from.number<uint64_t>();
    out.from.value = from.number<uint64_t>();
    out.count = from.number<uint8_t>();
    if (out.count == 0 || out.count > kCertsPerRequestMax) from.fail(DecodeError::too_long);
    return out;
}

Message read_status(Cursor& from) {
    Status out;
    out.epoch.value = from.number<uint64_t>();
    out.view.value = from.number<uint64_t>();
    out.final_view.value = from.number<uint64_t>();
    out.final_height.value = from.number<uint64_t>();
    return out;
}

Message read_message(Cursor& from) {
    switch (static_cast<Tag>(from.number<uint8_t>())) {
        case Tag::propose:
            return read_propose(from);
        case Tag::vote:
            return read_vote(from);
        case Tag::cert:
            return Cert{std::make_shared<Certificate>(read_certificate(from))};
        case Tag::get_cert:
            return read_get_cert(from);
        case Tag::get_block:
            return GetBlock{from.fixed<Hash>()};
        case Tag::block:
            return BlockMessage{read_block(from)};
        case Tag::status:
            return read_status(from);
        case Tag::repropose:
            return read_repropose(from);
        case Tag::scatter:
            return read_scatter(from);
        case Tag::shards:
            return read_shards_message(from);
    }
    from.fail(DecodeError::unknown_kind);
    return Status{};
}

struct Encoder {
    Bytes out;

    void tag(Tag t) { out.push_back(static_cast<uint8_t>(t)); }
    void operator()(const Propose& m) {
        tag(Tag::propose);
        append_le<uint16_t>(out, m.leader);
        append(out, m.signature.bytes);
        put_block(out, *m.block);
        put_justification(out, m.justification);
    }
    void operator()(const Repropose& m) {
        tag(Tag::repropose);
        put_vote(out, m.vote);
        put_justification(out, m.justification);
    }
    void operator()(const Scatter& m) {
        tag(Tag::scatter);
        append_le<uint16_t>(out, m.leader);
        append(out, m.signature.bytes);
        put_sized(out, encode_header(m.header));
        put_justification(out, m.justification);
        put_commitment(out, m.commitment);
        put_shards(out, m.shards);
    }
    void operator()(const Shards& m) {
        tag(Tag::shards);
        append_le<uint64_t>(out, m.epoch.value);
        append_le<uint64_t>(out, m.view.value);
        append(out, m.block.bytes);
        put_commitment(out, m.commitment);
        put_shards(out, m.shards);
    }
    void operator()(const Vote& m) {
        tag(Tag::vote);
        put_vote(out, m);
    }
    void operator()(const Cert& m) {
        tag(Tag::cert);
        put_certificate(out, *m.certificate);
    }
    void operator()(const GetCert& m) {
        tag(Tag::get_cert);
        append_le<uint64_t>(out, m.epoch.value);
        append_le<uint64_t>(out, m.from.value);
        out.push_back(m.count);
    }
    void operator()(const GetBlock& m) {
        tag(Tag::get_block);
        append(out, m.hash.bytes);
    }
    void operator()(const BlockMessage& m) {
        tag(Tag::block);
        put_block(out, *m.block);
    }
    void operator()(const Status& m) {
        tag(Tag::status);
        append_le<uint64_t>(out, m.epoch.value);
        append_le<uint64_t>(out, m.view.value);
        append_le<uint64_t>(out, m.final_view.value);
        append_le<uint64_t>(out, m.final_height.value);
    }
};

}  // namespace

BlockPtr make_block(Header header, Bytes body) {
    const Hash hash = hash_header(header);
    return std::make_shared<const BlockData>(BlockData{std::move(header), std::move(body), hash});
}

std::optional<Epoch> epoch_of_message(const Message& message) {
    struct Visitor {
        std::optional<Epoch> operator()(const Propose& m) const {
            return m.block ? of(m.block->header) : std::nullopt;
        }
        std::optional<Epoch> operator()(const Scatter& m) const { return of(m.header); }
        std::optional<Epoch> operator()(const Shards& m) const { return m.epoch; }
        static std::optional<Epoch> of(const Header& header) {
            const auto seal = decode_seal(header.extra_data);
            return seal ? std::optional(seal->epoch) : std::nullopt;
        }
        std::optional<Epoch> operator()(const Vote& m) const { return m.epoch; }
        std::optional<Epoch> operator()(const Cert& m) const { return m.certificate->epoch; }
        std::optional<Epoch> operator()(const GetCert& m) const { return m.epoch; }
        std::optional<Epoch> operator()(const GetBlock&) const { return std::nullopt; }
        std::optional<Epoch> operator()(const BlockMessage&) const { return std::nullopt; }
        std::optional<Epoch> operator()(const Status& m) const { return m.epoch; }
        std::optional<Epoch> operator()(const Repropose& m) const { return m.vote.epoch; }
    };
    return std::visit(Visitor{}, message);
}

Hash vote_digest(const ChainIdentity& chain, VoteKind kind, Epoch epoch, View view,
                 const Hash& block) {
    Bytes bytes;
    bytes.reserve(128);
    append(bytes, as_bytes("trainyard/bft/v1"));
    bytes.push_back(static_cast<uint8_t>(kind));
    append_le<uint64_t>(bytes, chain.chain_id);
    append(bytes, chain.genesis_hash.bytes);
    append_le<uint64_t>(bytes, epoch.value);
    append_le<uint64_t>(bytes, view.value);
    append(bytes, block.bytes);
    return keccak256(bytes);
}

Hash vote_digest(const ChainIdentity& chain, const Vote& vote) {
    return vote_digest(chain, vote.kind, vote.epoch, vote.view, vote.block);
}

Bytes encode_message(const Message& message) {
    Encoder encoder;
    std::visit(encoder, message);
    return std::move(encoder.out);
}

Result<Message, DecodeError> decode_message(BytesView bytes) {
    if (bytes.size() > kMessageSizeMax) return unexpected(DecodeError::too_long);
    Cursor cursor(bytes);
    Message message = read_message(cursor);
    cursor.finish();
    if (cursor.error) return unexpected(*cursor.error);
    return message;
}

Bytes encode_certificate(const Certificate& certificate) {
    Bytes out;
    put_certificate(out, certificate);
    return out;
}

Result<Certificate, DecodeError> decode_certificate(BytesView bytes) {
    Cursor cursor(bytes);
    Certificate out = read_certificate(cursor);
    cursor.finish();
    if (cursor.error) return unexpected(*cursor.error);
    return out;
}

Lane lane_of(const Message& message) {
    if (std::holds_alternative<Vote>(message) || std::holds_alternative<Cert>(message))
        return Lane::votes;
    const bool proposes =
        std::holds_alternative<Propose>(message) || std::holds_alternative<Repropose>(message) ||
        std::holds_alternative<Scatter>(message) || std::holds_alternative<Shards>(message);
    return proposes ? Lane::proposals : Lane::repair;
}

std::string_view to_text(DecodeError error) {
    switch (error) {
        case DecodeError::truncated:
            return "truncated";
        case DecodeError::leftover:
            return "bytes after the message";
        case DecodeError::unknown_kind:
            return "unknown kind";
        case DecodeError::too_long:
            return "a length above its maximum";
        case DecodeError::not_canonical:
            return "not in canonical form";
        case DecodeError::bad_header:
            return "bad block header";
    }
    return "unknown";
}

}  // namespace trainyard::consensus::bft
