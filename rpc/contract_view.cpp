// SPDX-License-Identifier: Apache-2.0
// Calls of views and the decoding of their structs.
#include "rpc/contract_view.hpp"

#include <algorithm>
#include <bit>

#include "core/hash.hpp"

namespace trainyard::rpc {

namespace {

constexpr size_t kWord = 32;
constexpr uint64_t kViewGas = 10'000'000;

Error misfit() {
    return server_error("a system contract answered in an unknown form");
}

class Words {
public:
    explicit Words(BytesView data) : data_(data) {}

    [[nodiscard]] std::optional<Uint256> at(uint64_t offset) const {
        if (offset > data_.size() || data_.size() - offset < kWord) return std::nullopt;
        return from_be(data_.subspan(offset, kWord));
    }
    /// A word that is an offset or a length inside the data.
    [[nodiscard]] std::optional<uint64_t> size_at(uint64_t offset) const {
        const auto word = at(offset);
        if (!word || *word > Uint256(data_.size())) return std::nullopt;
        return word->low();
    }
    [[nodiscard]] std::optional<BytesView> bytes(uint64_t offset, uint64_t length) const {
        if (offset > data_.size() || data_.size() - offset < length) return std::nullopt;
        return data_.subspan(offset, length);
    }

private:
    BytesView data_;
};

Address to_address(const Uint256& word) {
    return *fixed_from<Address>(BytesView(to_hash(word).bytes).subspan(12));
}

bool write_text(JsonWriter& out, const Words& words, uint64_t offset) {
    const auto length = words.size_at(offset);
    const auto bytes = length ? words.bytes(offset + kWord, *length) : std::nullopt;
    if (!bytes) return false;
    // Text on the chain is anybody's; what is not plain ASCII is shown as bytes.
    const bool is_plain =
        std::all_of(bytes->begin(), bytes->end(), [](uint8_t b) { return b >= 0x20 && b < 0x7f; });
    is_plain ? out.text(as_text(*bytes)) : out.data(*bytes);
    return true;
}

bool write_addresses(JsonWriter& out, const Words& words, uint64_t offset) {
    const auto count = words.size_at(offset);
    if (!count) return false;
    out.begin_array();
    for (uint64_t i = 0; i < *count; ++i) {
        const auto word = words.at(offset + kWord * (i + 1));
        if (!word) return false;
        out.data(to_address(*word));
    }
    out.end_array();
    return true;
}

void write_choice(JsonWriter& out, const Field& field, const Uint256& word) {
    if (word < Uint256(field.names.size()))
        out.text(field.names[word.low()]);
    else
        out.quantity(word);
}

bool write_field(JsonWriter& out, const Words& words, const Field& field, uint64_t start,
                 size_t i) {
    const auto word = words.at(start + kWord * i);
    if (!word) return false;
    out.key(field.name);
    switch (field.word) {
        case Word::quantity:
            out.quantity(*word);
            return true;
        case Word::address:
            out.data(to_address(*word));
            return true;
        case Word::bytes32:
            out.data(to_hash(*word));
            return true;
        case Word::boolean:
            out.boolean(!word->is_zero());
            return true;
        case Word::loss:
            out.number(double{std::bit_cast<float>(static_cast<uint32_t>(word->low()))});
            return true;
        case Word::choice:
            write_choice(out, field, *word);
            return true;
        case Word::text:
        case Word::addresses:
            break;
    }
    const auto offset = words.size_at(start + kWord * i);
    if (!offset) return false;
    return field.word == Word::text ? write_text(out, words, start + *offset)
                                    : write_addresses(out, words, start + *offset);
}

bool is_dynamic(const Field& field) {
    return field.word == Word::text || field.word == Word::addresses;
}

}  // namespace

Result<Bytes, Error> call_view(const Backend& backend, const Hash& block, const Address& contract,
                               std::string_view signature,
                               std::initializer_list<Uint256> arguments) {
    CallRequest request;
    request.to = contract;
    request.gas = kViewGas;
    append(request.data, BytesView(keccak256(as_bytes(signature)).bytes).first(4));
    for (const auto& argument : arguments) append(request.data, to_hash(argument).bytes);
    auto outcome = backend.call(block, request, Overrides{});
    if (!outcome) return Unexpected(to_error(outcome.error()));
    if (outcome->status != CallOutcome::Status::success)
        return Unexpected(server_error("view " + std::string(signature) + " failed"));
    if (outcome->output.empty())
        return Unexpected(
            server_error("there is no system contract at " + to_hex0x(contract.bytes)));
    return std::move(outcome->output);
}

Result<uint64_t, Error> call_count(const Backend& backend, const Hash& block,
                                   const Address& contract, std::string_view signature) {
    const auto answer = call_view(backend, block, contract, signature, {});
    if (!answer) return Unexpected(answer.error());
    const auto word = Words(*answer).at(0);
    if (!word || !word->fits_u64()) return Unexpected(misfit());
    return word->low();
}

Outcome write_struct(JsonWriter& out, BytesView answer, std::span<const Field> fields) {
    const Words words(answer);
    uint64_t start = 0;
    if (std::any_of(fields.begin(), fields.end(), is_dynamic)) {
        const auto offset = words.size_at(0);
        if (!offset) return Unexpected(misfit());
        start = *offset;
    }
    for (size_t i = 0; i < fields.size(); ++i)
        if (!write_field(out, words, fields[i], start, i)) return Unexpected(misfit());
    return Done{};
}

}  // namespace trainyard::rpc
