// SPDX-License-Identifier: Apache-2.0
// The canonical bytes of messages: round trips, frozen hashes, and what is refused.
#include "consensus/bft/messages.hpp"

#include <gtest/gtest.h>

#include "core/hash.hpp"

namespace trainyard::consensus::bft {
namespace {

template <class T>
T filled(uint8_t value) {
    T out;
    out.bytes.fill(value);
    return out;
}

BlockPtr sample_block() {
    Header header;
    header.number = 7;
    header.parent_hash = filled<Hash>(1);
    header.prev_randao = filled<Hash>(2);
    header.extra_data = encode_seal({{3}, {300}, {298}, filled<vrf::Proof>(9)});
    return make_block(header, Bytes{1, 2, 3});
}

Certificate sample_certificate(VoteKind kind = VoteKind::notarize) {
    Certificate out;
    out.kind = kind;
    out.epoch = {3};
    out.view = {298};
    if (kind != VoteKind::nullify) out.block = filled<Hash>(4);
    out.set_size = 10;
    out.signers = {0b10000001, 0b10};
    out.signatures = {filled<CompactSig>(5), filled<CompactSig>(6), filled<CompactSig>(7)};
    return out;
}

dispersal::Commitment sample_commitment() {
    return {70'000, filled<Hash>(6)};
}

std::vector<dispersal::Shard> sample_shards() {
    return {{7, Bytes{1, 2, 3}, {filled<Hash>(7), filled<Hash>(8)}}, {8, Bytes{4, 5, 6}, {}}};
}

std::vector<Message> samples() {
    const auto certificate = std::make_shared<Certificate>(sample_certificate());
    const auto nullification = std::make_shared<Certificate>(sample_certificate(VoteKind::nullify));
    return {
        Propose{sample_block(), {certificate, nullification}, 2, filled<CompactSig>(8)},
        Vote{VoteKind::finalize, {3}, {300}, filled<Hash>(4), 9, filled<CompactSig>(1)},
        Cert{certificate},
        GetCert{{3}, {290}, 8},
        GetBlock{filled<Hash>(4)},
        BlockMessage{sample_block()},
        Status{{3}, {300}, {297}, {200}},
        Repropose{{VoteKind::notarize, {3}, {300}, filled<Hash>(4), 9, filled<CompactSig>(1)},
                  {certificate, nullification}},
        Scatter{sample_block()->header,
                {certificate},
                2,
                filled<CompactSig>(8),
                sample_commitment(),
                sample_shards()},
        Shards{{3}, {300}, filled<Hash>(4), sample_commitment(), sample_shards()},
    };
}

DecodeError error_of(const Bytes& bytes) {
    return decode_message(bytes).error();
}

TEST(messages, every_kind_survives_a_round_trip) {
    for (const auto& message : samples()) {
        const Bytes bytes = encode_message(message);
        const auto decoded = decode_message(bytes);
        ASSERT_TRUE(decoded.has_value()) << "kind " << message.index();
        EXPECT_EQ(decoded->index(), message.index());
        EXPECT_EQ(encode_message(*decoded), bytes);
    }
}

/// Computed by this implementation; a change of any encoding must be meant, and changes the spec as
/// well.
TEST(messages, encodings_are_frozen) {
    Bytes all;
    for (const auto& message : samples()) append(all, keccak256(encode_message(message)).bytes);
    EXPECT_EQ(to_hex(keccak256(all).bytes),
              "8c78b0ca3a013b1e5f6b00e11302376df0d381f30ac445ee35abf548495b7ded");
    const Vote vote = std::get<Vote>(samples()[1]);
    EXPECT_EQ(to_hex(vote_digest({1337, filled<Hash>(3)}, vote).bytes),
              "d2e291451d8d501d8bef5ee1c0902748bf9b80983a91c5afc4eba5073a08f220");
}

TEST(messages, digests_differ_by_everything_that_is_signed) {
    const ChainIdentity chain{1, filled<Hash>(3)};
    const Vote vote = std::get<Vote>(samples()[1]);
    const Hash base = vote_digest(chain, vote);
    EXPECT_NE(base, vote_digest({2, filled<Hash>(3)}, vote));
    EXPECT_NE(base, vote_digest({1, filled<Hash>(4)}, vote));
    EXPECT_NE(base, vote_digest(chain, VoteKind::notarize, vote.epoch, vote.view, vote.block));
    EXPECT_NE(base, vote_digest(chain, vote.kind, {4}, vote.view, vote.block));
    EXPECT_NE(base, vote_digest(chain, vote.kind, vote.epoch, {301}, vote.block));
    EXPECT_NE(base, vote_digest(chain, vote.kind, vote.epoch, vote.view, filled<Hash>(9)));
}

TEST(messages, rejects_shards_that_cannot_be) {
    const Shards good = std::get<Shards>(samples()[9]);
    auto bad = good;
    bad.shards.clear();
    EXPECT_EQ(error_of(encode_message(bad)), DecodeError::not_canonical);
    bad = good;
    bad.commitment.body_size_bytes = 0;
    EXPECT_EQ(error_of(encode_message(bad)), DecodeError::too_long);
    bad.commitment.body_size_bytes = kBodySizeMax + 1;
    EXPECT_EQ(error_of(encode_message(bad)), DecodeError::too_long);
    bad = good;
    bad.shards[0].path.resize(kShardPathMax + 1);
    EXPECT_EQ(error_of(encode_message(bad)), DecodeError::too_long);
    auto scatter = std::get<Scatter>(samples()[8]);
    scatter.header.extra_data = {1};
    EXPECT_EQ(error_of(encode_message(scatter)), DecodeError::bad_header);
}

TEST(messages, sizes_stay_below_the_caps) {
    EXPECT_LE(encode_message(samples()[1]).size(), kVoteSizeMax);
    Certificate full = sample_certificate();
    full.set_size = kValidatorsMax;
    full.signers.assign(kValidatorsMax / 8, 0xff);
    full.signatures.assign(kValidatorsMax, filled<CompactSig>(1));
    EXPECT_LE(encode_certificate(full).size(), kCertificateSizeMax);
    EXPECT_TRUE(decode_certificate(encode_certificate(full)).has_value());
}

TEST(messages, rejects_every_proper_prefix_and_any_leftover) {
    for (const auto& message : samples()) {
        const Bytes bytes = encode_message(message);
        for (size_t size = 0; size < bytes.size(); ++size)
            EXPECT_FALSE(decode_message(BytesView(bytes).first(size)).has_value());
        Bytes longer = bytes;
        longer.push_back(0);
        EXPECT_EQ(error_of(longer), DecodeError::leftover);
    }
}

TEST(messages, rejects_unknown_kinds) {
    EXPECT_EQ(error_of({0}), DecodeError::unknown_kind);
    EXPECT_EQ(error_of({99}), DecodeError::unknown_kind);
    Bytes vote = encode_message(samples()[1]);
    vote[1] = 4;
    EXPECT_EQ(error_of(vote), DecodeError::unknown_kind);
}

TEST(messages, rejects_a_nullify_that_names_a_block) {
    Bytes vote = encode_message(samples()[1]);
    vote[1] = static_cast<uint8_t>(VoteKind::nullify);
    EXPECT_EQ(error_of(vote), DecodeError::not_canonical);
}

TEST(messages, rejects_certificates_with_padding_bits_no_signers_or_a_wrong_set_size) {
    Certificate padded = sample_certificate();
    padded.signers[1] |= 0b100;  // bit 10 of a set of 10
    padded.signatures.push_back(filled<CompactSig>(1));
    EXPECT_EQ(decode_certificate(encode_certificate(padded)).error(), DecodeError::not_canonical);
    Certificate empty = sample_certificate();
    empty.signers = {0, 0};
    empty.signatures.clear();
    EXPECT_EQ(decode_certificate(encode_certificate(empty)).error(), DecodeError::not_canonical);
    Certificate large = sample_certificate();
    large.set_size = kValidatorsMax + 1;
    EXPECT_EQ(decode_certificate(encode_certificate(large)).error(), DecodeError::too_long);
    Certificate none = sample_certificate();
    none.set_size = 0;
    EXPECT_EQ(decode_certificate(encode_certificate(none)).error(), DecodeError::too_long);
}

TEST(messages, rejects_lengths_above_their_maximum_before_reading_on) {
    Bytes block{6};
    append_le<uint32_t>(block, kHeaderSizeMax + 1);
    EXPECT_EQ(error_of(block), DecodeError::too_long);
    Bytes get_cert = encode_message(GetCert{{0}, {1}, kCertsPerRequestMax});
    get_cert.back() = kCertsPerRequestMax + 1;
    EXPECT_EQ(error_of(get_cert), DecodeError::too_long);
    get_cert.back() = 0;
    EXPECT_EQ(error_of(get_cert), DecodeError::too_long);
}

TEST(messages, rejects_a_body_one_byte_above_its_limit) {
    const Header header = std::get<Propose>(samples()[0]).block->header;
    const auto error_of_body = [&](size_t size) {
        const auto message =
            decode_message(encode_message(BlockMessage{make_block(header, Bytes(size, 7))}));
        return message ? std::nullopt : std::optional(message.error());
    };
    EXPECT_EQ(error_of_body(kBodySizeMax), std::nullopt);
    EXPECT_EQ(error_of_body(kBodySizeMax + 1), DecodeError::too_long);
}

TEST(messages, rejects_proposals_without_a_seal_or_with_too_long_a_justification) {
    Propose proposal = std::get<Propose>(samples()[0]);
    Header bare = proposal.block->header;
    bare.extra_data = {1, 2, 3};
    Propose unsealed = proposal;
    unsealed.block = make_block(bare, {});
    EXPECT_EQ(error_of(encode_message(unsealed)), DecodeError::bad_header);
    proposal.justification.assign(kJustificationMax + 1, proposal.justification[0]);
    EXPECT_EQ(error_of(encode_message(proposal)), DecodeError::too_long);
}

TEST(seal, survives_a_round_trip_at_its_longest) {
    const Seal seal{{UINT64_MAX}, {UINT64_MAX}, {UINT64_MAX}, filled<vrf::Proof>(1)};
    const Bytes bytes = encode_seal(seal);
    EXPECT_LE(bytes.size(), kSealSizeMax);
    EXPECT_EQ(*decode_seal(bytes), seal);
}

TEST(seal, rejects_missing_and_additional_items) {
    rlp::Writer writer;
    writer.begin_list().number(uint64_t{1}).number(uint64_t{2}).number(uint64_t{1}).end_list();
    EXPECT_FALSE(decode_seal(writer.take()).has_value());
    Bytes twice = encode_seal({{1}, {2}, {1}, {}});
    append(twice, Bytes(twice));
    EXPECT_FALSE(decode_seal(twice).has_value());
    EXPECT_FALSE(decode_seal({}).has_value());
}

}  // namespace
}  // namespace trainyard::consensus::bft
