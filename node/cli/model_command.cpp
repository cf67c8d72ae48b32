// SPDX-License-Identifier: Apache-2.0
// `trainyard model`: the models that the chain made, what they were made from, and whose they are.
#include <bit>
#include <set>

#include <boost/json.hpp>

#include "node/cli/commands.hpp"
#include "node/cli/keys.hpp"
#include "node/wallet/market.hpp"
#include "node/wallet/models.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;

constexpr size_t kLineageMax = 256;  ///< models shown of one lineage
constexpr uint32_t kRoyaltyMax_bps = 1000;

std::string refusal(const wallet::WalletError& error, const Uint256& token) {
    if (error.code != wallet::WalletErrorCode::reverted) return error.text;
    const std::string name = "model " + to_decimal(token) + ": ";
    if (error.text.ends_with(") title"))
        return name + "a title has 1 to 64 letters, digits, spaces and -._+()";
    const bool is_absent = error.text.find("ERC721NonexistentToken") != std::string::npos;
    return name + error.text + (is_absent ? "; `trainyard model list` shows what there is" : "");
}

json::array texts(const std::vector<Uint256>& numbers) {
    json::array out;
    for (const auto& number : numbers) out.emplace_back(to_decimal(number));
    return out;
}

json::object card_json(const Uint256& token, const wallet::ModelCard& card) {
    json::array providers;
    for (const auto& who : card.record.providers) providers.emplace_back(to_hex0x(who.bytes));
    return {{"token", to_decimal(token)},
            {"title", card.title},
            {"owner", to_hex0x(card.owner.bytes)},
            {"paidBy", to_hex0x(card.payer.bytes)},
            {"job", card.record.job},
            {"program", to_hex0x(card.record.program_id.bytes)},
            {"data", to_hex0x(card.record.data_root.bytes)},
            {"stateRoot", to_hex0x(card.record.state_root.bytes)},
            {"segments", card.record.segments},
            {"segmentsRoot", to_hex0x(card.record.segments_root.bytes)},
            {"loss", std::bit_cast<float>(card.record.loss_bits)},
            {"licence", card.record.licence},
            {"providers", std::move(providers)},
            {"parents", texts(card.parents)}};
}

std::string card_line(const Uint256& token, const wallet::ModelCard& card) {
    return "model " + to_decimal(token) + "  " + bold(card.title) + "  of job " +
           std::to_string(card.record.job) + ", " + std::to_string(card.record.segments) +
           " segments, loss " + std::to_string(std::bit_cast<float>(card.record.loss_bits)) + ", " +
           card.record.licence + "  owner " + short_hex(card.owner.bytes);
}

std::string card_lines(const wallet::ModelCard& card) {
    std::string text = "\n  program     " + to_hex0x(card.record.program_id.bytes) +
                       "\n  data        " + to_hex0x(card.record.data_root.bytes) +
                       "\n  state root  " + to_hex0x(card.record.state_root.bytes) +
                       "\n  trained by ";
    for (const auto& who : card.record.providers) text += " " + to_hex0x(who.bytes);
    return text + "\n  paid by     " + to_hex0x(card.payer.bytes);
}

/// The parents of a model and theirs, each shown once, two columns deeper than its child.
class Lineage {
public:
    explicit Lineage(wallet::EthClient& client) : client_(client) {}

    Result<Done, std::string> walk(const Uint256& token, const wallet::ModelCard& card,
                                   size_t depth) {
        for (const auto& parent : card.parents) {
            const bool is_new = seen_.insert(to_decimal(parent)).second;
            if (seen_.size() > kLineageMax)
                return unexpected("model " + to_decimal(token) + " has more than " +
                                  std::to_string(kLineageMax) + " ancestors");
            const auto next = wallet::model_card(client_, parent);
            if (!next) return unexpected(refusal(next.error(), parent));
            lines += "\n" + std::string(2 * depth, ' ') + "from " + card_line(parent, *next) +
                     (is_new ? "" : "  (shown above)");
            if (!is_new) continue;
            ancestors.push_back(card_json(parent, *next));
            if (auto done = walk(parent, *next, depth + 1); !done) return done;
        }
        return Done{};
    }
    std::string lines;
    json::array ancestors;

private:
    wallet::EthClient& client_;
    std::set<std::string> seen_;
};

/// "2.5" per cent are 250; two decimals at most.
std::optional<uint32_t> basis_points(const std::string& percent) {
    const Uint256 kUnit(10'000'000'000'000'000);  // of an amount of coins, in wei
    const auto amount = parse_coins(percent);
    if (!amount || !(*amount % kUnit).is_zero()) return std::nullopt;
    const Uint256 points = *amount / kUnit;
    if (points > Uint256(kRoyaltyMax_bps)) return std::nullopt;
    return static_cast<uint32_t>(points.low());
}

Result<std::vector<Uint256>, std::string> parent_tokens(const std::vector<uint64_t>& parents,
                                                        uint64_t token) {
    std::vector<Uint256> out;
    for (const auto parent : parents) {
        if (parent >= token)
            return unexpected("model " + std::to_string(parent) + " is not older than model " +
                              std::to_string(token) + ", so it cannot be what that was made from");
        out.emplace_back(parent);
    }
    return out;
}

}  // namespace

int run_model_list(const Output& out, const ModelArgs& args) {
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    const auto count = wallet::model_count(**client);
    if (!count) return out.fail(count.error().text);
    for (uint64_t token = 0; token < *count; ++token) {
        const auto card = wallet::model_card(**client, Uint256(token));
        if (!card) return out.fail(card.error().text);
        out.line(out.json ? json::serialize(card_json(Uint256(token), *card))
                          : card_line(Uint256(token), *card));
    }
    if (*count == 0 && !out.json)
        out.say("no models yet; a model is made when a job closes, see `trainyard job list`");
    return kOk;
}

int run_model_show(const Output& out, const ModelArgs& args) {
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    const Uint256 token(args.token);
    const auto card = wallet::model_card(**client, token);
    if (!card) return out.fail(refusal(card.error(), token));
    const auto folded = wallet::folded_segment_roots(**client, token, card->record.segments);
    if (!folded) return out.fail(folded.error().text);
    const bool fits = *folded == card->record.segments_root;
    Lineage lineage(**client);
    if (auto done = lineage.walk(token, *card, 1); !done) return out.fail(done.error());
    if (out.json) {
        auto object = card_json(token, *card);
        object["segmentsMatch"] = fits;
        object["ancestors"] = std::move(lineage.ancestors);
        out.line(json::serialize(object));
    } else {
        out.line(card_line(token, *card) + card_lines(*card) + "\n  segments    " +
                 to_hex0x(card->record.segments_root.bytes) + "  " +
                 (fits ? green("fits all segments on the chain")
                       : red("differs from the segments on the chain")) +
                 lineage.lines + "\nnext: trainyard verify --job " +
                 std::to_string(card->record.job) + " --all" + rpc_flag(args.rpc) +
                 " replays its training");
    }
    return fits ? kOk : kFailed;
}

int run_model_describe(const Output& out, const ModelArgs& args) {
    if (args.title.empty() && args.parents.empty() && args.royalty.empty())
        return out.fail("nothing to say: give --title, --parent or --royalty"), kUsage;
    const auto royalty = basis_points(args.royalty.empty() ? "0" : args.royalty);
    if (!royalty)
        return out.fail("--royalty '" + args.royalty +
                        "' must be a percentage from 0 to 10 with at most two decimals"),
               kUsage;
    const auto parents = parent_tokens(args.parents, args.token);
    if (!parents) return out.fail(parents.error()), kUsage;
    const auto key = open_key(args.key);
    if (!key) return out.fail(key.error());
    const auto client = wallet::EthClient::open(args.rpc);
    if (!client) return out.fail(client.error().text);
    wallet::TxSender sender(**client, *key);
    const Uint256 token(args.token);
    json::array txs;
    const auto take = [&](const wallet::Answer<wallet::TxReceipt>& sent) {
        if (sent) txs.emplace_back(to_hex0x(sent->tx.bytes));
        return sent ? std::nullopt : std::optional(refusal(sent.error(), token));
    };
    if (!args.title.empty())
        if (const auto bad = take(wallet::set_title(sender, token, args.title)))
            return out.fail(*bad);
    if (!parents->empty())
        if (const auto bad = take(wallet::set_parents(sender, token, *parents)))
            return out.fail(*bad);
    if (!args.royalty.empty())
        if (const auto bad = take(wallet::set_royalty(sender, token, sender.address(), *royalty)))
            return out.fail(*bad);
    if (out.json)
        out.line(json::serialize(json::object{{"token", to_decimal(token)}, {"txs", txs}}));
    else
        out.line("written in " + std::to_string(txs.size()) +
                 " transactions\nnext: trainyard model show " + to_decimal(token) +
                 rpc_flag(args.rpc));
    return kOk;
}

}  // namespace trainyard::node::cli
