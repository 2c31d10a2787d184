# A bank with many tellers who all write at once, an auditor who reads all accounts
# while they do, and a screen that follows what is committed.
#
#     mix run examples/bank.exs [ACCOUNTS [TRANSFERS]]
#
# Each transfer is a transaction: it looks at two balances and changes them. The
# sum of all balances never changes, and whoever looks sees that it has not.

defmodule Bank do
  @start 100

  def open(store, count) do
    accounts = Rhizome.create_table!(store, :accounts, :to_one)
    holds = Rhizome.create_table!(store, :holds, :one_to_many, bwd: {accounts, :evict})
    Rhizome.insert_all!(accounts, for(n <- 1..count, do: {n, @start}))
    Rhizome.insert_all!(holds, for(n <- 1..count, do: {customer(n), n}))
    accounts
  end

  defp customer(n), do: "customer #{div(n, 3)}"

  def total(count), do: count * @start

  # Money goes where it is asked for, unless there is too little of it.
  def transfer(accounts, from, to, amount) do
    Rhizome.transaction(accounts.store, fn tx ->
      accounts = Rhizome.on(accounts, tx)
      balance = Rhizome.get(accounts, from)
      if balance < amount, do: Rhizome.abort(tx, :too_little)
      other = Rhizome.get(accounts, to)
      Rhizome.put(accounts, from, balance - amount, await: false)
      Rhizome.put(accounts, to, other + amount, await: false)
    end)
  end
end

defmodule Teller do
  def work(accounts, count, transfers) do
    for _n <- 1..transfers, reduce: %{} do
      outcomes ->
        [from, to] = Enum.take_random(1..count, 2)

        outcome =
          case Bank.transfer(accounts, from, to, :rand.uniform(150)) do
            {:ok, :ok} -> :done
            {:error, :too_little} -> :too_little
            {:error, %Rhizome.Error{code: :conflict}} -> :conflict
          end

        Map.update(outcomes, outcome, 1, &(&1 + 1))
    end
  end
end

defmodule Auditor do
  # Adds up all accounts again and again, each time those of one moment.
  def watch(accounts, total, audits) do
    sum =
      Rhizome.with_snapshot(accounts.store, fn snapshot ->
        accounts |> Rhizome.on(snapshot) |> Rhizome.values() |> Enum.sum()
      end)

    if sum != total, do: raise("#{sum} is not #{total}")

    receive do
      {:stop, from} -> send(from, {:audits, audits + 1})
    after
      0 -> watch(accounts, total, audits + 1)
    end
  end
end

defmodule Screen do
  # Follows the feed until `last`, with balances of its own, which it knows from it.
  def follow(ref, last, balances, seen) do
    receive do
      {:rhizome, ^ref, {:changes, changes}} ->
        balances =
          for %{changes: changes} <- changes,
              c <- changes,
              reduce: balances,
              do: (b -> apply_to(b, c))

        seen = seen + length(changes)
        %{seq: seq} = List.last(changes)
        if seq >= last, do: {balances, seen}, else: follow(ref, last, balances, seen)

      {:rhizome, ^ref, other} ->
        raise "the feed ended: #{inspect(other)}"
    end
  end

  defp apply_to(balances, {:accounts, :insert, {n, balance}}), do: Map.put(balances, n, balance)
  defp apply_to(balances, {:accounts, :delete, {n, _balance}}), do: Map.delete(balances, n)
end

{count, transfers} =
  case Enum.map(System.argv(), &String.to_integer/1) do
    [] -> {20, 500}
    [count] -> {count, 500}
    [count, transfers] -> {count, transfers}
  end

tellers = 8
{:ok, store} = Rhizome.start_link()
accounts = Bank.open(store, count)
total = Bank.total(count)
{:ok, feed} = Rhizome.subscribe(store, [accounts])
balances = Map.new(accounts)

IO.puts(
  "#{count} accounts that hold #{total} between them, #{tellers} tellers, #{transfers} transfers each."
)

auditor = spawn_link(fn -> Auditor.watch(accounts, total, 0) end)
started = System.monotonic_time(:millisecond)

outcomes =
  for(_n <- 1..tellers, do: Task.async(Teller, :work, [accounts, count, transfers]))
  |> Task.await_many(:infinity)
  |> Enum.reduce(&Map.merge(&1, &2, fn _outcome, a, b -> a + b end))

took = max(System.monotonic_time(:millisecond) - started, 1)
send(auditor, {:stop, self()})
audits = receive(do: ({:audits, audits} -> audits))

rate = div(tellers * transfers * 1000, took)
IO.puts("Done in #{took} ms, #{rate} a second: #{inspect(outcomes)}.")

IO.puts(
  "The auditor has added up all accounts #{audits} times meanwhile, and found #{total} each time."
)

# The last change is a marker, so that the screen knows when it has seen all.
Rhizome.put!(accounts, :closed, true)
last = Rhizome.info(store).seq
{balances, seen} = Screen.follow(feed.ref, last, balances, 0)
Rhizome.unsubscribe(feed)

if balances != Map.new(accounts), do: raise("the screen shows something else")
IO.puts("The screen was told #{seen} commits and shows what the store holds.")

# What would be, without doing it: the account of the richest is closed.
Rhizome.delete_key!(accounts, :closed)
{richest, balance} = Enum.max_by(accounts, fn {_n, balance} -> balance end)
{:ok, fork} = Rhizome.fork(store)
change = Rhizome.delete_key!(Rhizome.on(accounts, fork), richest)
left = accounts |> Rhizome.on(fork) |> Rhizome.values() |> Enum.sum()

IO.puts(
  "If account #{richest} were closed with its #{balance}, #{left} would be left, and with it goes"
)

IO.puts("  #{inspect(change.cascade)}.")
Rhizome.discard(fork)

# A handle finds out that it is not alone.
handle = Rhizome.Handle.new(accounts)
{:ok, :ok} = Bank.transfer(accounts, richest, rem(richest, count) + 1, 1)

try do
  Rhizome.Handle.put(handle, richest, 0)
rescue
  error in Rhizome.StaleError -> IO.puts("Stale: " <> Exception.message(error) <> ".")
end

sum = accounts |> Rhizome.values() |> Enum.sum()
IO.puts("In the end the accounts hold #{sum}.")
%{snapshot_count: 0, subscriptions: 0} = Rhizome.info(store)
Rhizome.stop(store)
