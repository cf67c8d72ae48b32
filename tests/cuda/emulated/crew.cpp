// SPDX-License-Identifier: Apache-2.0
// Two workers with a device each share the micro-batches of a step and reach the bits of one.
#include "training/crew.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "machine.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;

/// What the workers have said so far. One of them runs at a time, because there is one emulated
/// machine: each holds the lock but for when it waits for another.
struct Meeting {
    explicit Meeting(uint32_t workers) : parts(workers), sent(workers), heard(workers) {}
    std::mutex mutex;
    std::condition_variable news;
    std::vector<std::vector<Bytes>> parts;
    std::vector<std::vector<Floats>> sent;  ///< to the first
    std::vector<Floats> shared;
    std::vector<size_t> heard;  ///< of each worker's messages, by the first
};

class ThreadCrew final : public Crew {
public:
    ThreadCrew(Meeting& meeting, uint32_t rank)
        : meeting_(meeting), rank_(rank), lock_(meeting.mutex) {}
    [[nodiscard]] uint32_t rank() const override { return rank_; }
    [[nodiscard]] uint32_t size() const override {
        return static_cast<uint32_t>(meeting_.parts.size());
    }
    [[nodiscard]] Bytes gather(BytesView mine) override {
        auto& own = meeting_.parts[rank_];
        const size_t round = own.size();
        own.emplace_back(mine.begin(), mine.end());
        meeting_.news.notify_all();
        Bytes all;
        for (const auto& parts : meeting_.parts) {
            wait_for([&] { return parts.size() > round; });
            append(all, parts[round]);
        }
        return all;
    }
    void send_to_first(std::span<const float> x) override { say(meeting_.sent[rank_], x); }
    void receive(std::span<float> x, uint32_t from) override {
        hear(x, meeting_.sent[from], meeting_.heard[from]);
    }
    void share(std::span<float> x) override {
        if (rank_ == 0) return say(meeting_.shared, x);
        hear(x, meeting_.shared, shared_heard_);
    }

private:
    template <class Condition>
    void wait_for(const Condition& condition) {
        meeting_.news.wait(lock_, condition);
    }
    void say(std::vector<Floats>& to, std::span<const float> x) {
        to.emplace_back(x.begin(), x.end());
        meeting_.news.notify_all();
    }
    void hear(std::span<float> x, const std::vector<Floats>& from, size_t& heard) {
        wait_for([&] { return from.size() > heard; });
        ASSERT_EQ(from[heard].size(), x.size());
        std::copy(from[heard].begin(), from[heard].end(), x.begin());
        ++heard;
    }

    Meeting& meeting_;
    uint32_t rank_;
    std::unique_lock<std::mutex> lock_;
    size_t shared_heard_ = 0;
};

TEST(emulated_crew, reaches_the_root_of_one_worker) {
    emulated::set_faults({});
    const Bytes data = tests::make_text(tests::kTextBytes);
    const auto reference = make_reference_backend();
    // Two micro-batches are a node of the tree, three are not.
    for (const uint32_t micro_batches : {4U, 6U}) {
        const auto program = tests::make_run(
            {.layers = 1, .width = 16, .steps = 2, .micro_batches = micro_batches, .sequences = 1});
        Meeting meeting(2);
        std::vector<Hash> roots(2);
        std::vector<std::thread> workers;
        for (uint32_t rank = 0; rank < 2; ++rank)
            workers.emplace_back([&, rank] {
                ThreadCrew crew(meeting, rank);
                const auto backend = cuda::make_cuda_backend(0);
                roots[rank] = tests::state_root_on(program, *backend, data, 2, &crew);
            });
        for (std::thread& worker : workers) worker.join();
        const Hash due = tests::state_root_on(program, *reference, data, 2);
        EXPECT_EQ(roots, std::vector<Hash>(2, due)) << micro_batches;
    }
}

}  // namespace
