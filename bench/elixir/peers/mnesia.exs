defmodule Bench.Peer.Mnesia do
  # Mnesia with ram_copies: two bags by hand, which read the other way several times
  # faster than one bag with an index does. Everything in transactions; a batch is one
  # transaction that locks the tables, for a thousand locks of records cost more than
  # the writes.
  #
  # Without a directory for its schema Mnesia writes nothing.
  @behaviour Bench.Peer

  @impl true
  def available do
    case Application.ensure_all_started(:mnesia) do
      {:ok, _started} -> :ok
      {:error, _reason} -> "the package erlang-mnesia is missing"
    end
  end

  @impl true
  def start(_type) do
    number = System.unique_integer([:positive])
    tables = {:"bench_fwd_#{number}", :"bench_bwd_#{number}"}

    for table <- Tuple.to_list(tables) do
      {:atomic, :ok} =
        :mnesia.create_table(table, type: :bag, ram_copies: [node()], attributes: [:key, :partner])
    end

    tables
  end

  @impl true
  def stop({fwd, bwd}) do
    for table <- [fwd, bwd], do: {:atomic, :ok} = :mnesia.delete_table(table)
  end

  @impl true
  def insert_all({fwd, bwd}, pairs) do
    transaction(fn ->
      :mnesia.write_lock_table(fwd)
      :mnesia.write_lock_table(bwd)

      for {a, b} <- pairs do
        :mnesia.write(fwd, {fwd, a, b}, :write)
        :mnesia.write(bwd, {bwd, b, a}, :write)
      end
    end)
  end

  @impl true
  def insert({fwd, bwd}, a, b) do
    transaction(fn ->
      :mnesia.write(fwd, {fwd, a, b}, :write)
      :mnesia.write(bwd, {bwd, b, a}, :write)
    end)
  end

  @impl true
  def member?({fwd, _bwd}, a, b) do
    :lists.member({fwd, a, b}, transaction(fn -> :mnesia.read(fwd, a) end))
  end

  @impl true
  def fwd({fwd, _bwd}, a), do: partners(fwd, a)

  @impl true
  def bwd({_fwd, bwd}, b), do: partners(bwd, b)

  defp partners(table, key) do
    for {_table, _key, partner} <- transaction(fn -> :mnesia.read(table, key) end), do: partner
  end

  @impl true
  def fwd_many({fwd, _bwd}, keys) do
    transaction(fn ->
      for key <- keys do
        for {_table, _key, partner} <- :mnesia.read(fwd, key), do: partner
      end
    end)
  end

  @impl true
  def count({fwd, _bwd}), do: :mnesia.table_info(fwd, :size)

  @impl true
  def bytes({fwd, bwd}) do
    words = :mnesia.table_info(fwd, :memory) + :mnesia.table_info(bwd, :memory)
    words * :erlang.system_info(:wordsize)
  end

  @impl true
  def steal_all({fwd, bwd}, pairs) do
    transaction(fn ->
      :mnesia.write_lock_table(fwd)
      :mnesia.write_lock_table(bwd)

      for {owner, item} <- pairs do
        for {_table, _item, old} <- :mnesia.read(bwd, item, :write), old != owner do
          :mnesia.delete_object(fwd, {fwd, old, item}, :write)
          :mnesia.delete_object(bwd, {bwd, item, old}, :write)
        end

        :mnesia.write(fwd, {fwd, owner, item}, :write)
        :mnesia.write(bwd, {bwd, item, owner}, :write)
      end
    end)
  end

  defp transaction(fun) do
    {:atomic, result} = :mnesia.transaction(fun)
    result
  end
end

defmodule Bench.Peer.MnesiaDirty do
  # The same with dirty operations: nothing keeps the two directions in step.
  @behaviour Bench.Peer

  alias Bench.Peer.Mnesia

  @impl true
  def available, do: Mnesia.available()

  @impl true
  def start(type), do: Mnesia.start(type)

  @impl true
  def stop(tables), do: Mnesia.stop(tables)

  @impl true
  def insert_all(tables, pairs), do: for({a, b} <- pairs, do: insert(tables, a, b))

  @impl true
  def insert({fwd, bwd}, a, b) do
    :ok = :mnesia.dirty_write(fwd, {fwd, a, b})
    :ok = :mnesia.dirty_write(bwd, {bwd, b, a})
  end

  @impl true
  def member?({fwd, _bwd}, a, b), do: :lists.member({fwd, a, b}, :mnesia.dirty_read(fwd, a))

  @impl true
  def fwd({fwd, _bwd}, a), do: partners(fwd, a)

  @impl true
  def bwd({_fwd, bwd}, b), do: partners(bwd, b)

  defp partners(table, key) do
    for {_table, _key, partner} <- :mnesia.dirty_read(table, key), do: partner
  end

  @impl true
  def count(tables), do: Mnesia.count(tables)

  @impl true
  def bytes(tables), do: Mnesia.bytes(tables)

  @impl true
  def steal_all({fwd, bwd} = tables, pairs) do
    for {owner, item} <- pairs do
      for old <- bwd(tables, item), old != owner do
        :ok = :mnesia.dirty_delete_object(fwd, {fwd, old, item})
        :ok = :mnesia.dirty_delete_object(bwd, {bwd, item, old})
      end

      insert(tables, owner, item)
    end
  end
end
