defmodule Rhizome.Log.Record do
  @moduledoc """
  One record of a term log, from `Rhizome.Log.stream!/2`.

    * `:seq` - the number of the mutation; what is no mutation repeats that of the
      one before it. In a checkpoint and a manifest, the number of the record.
    * `:type` - what it is: see the table.
    * `:op` - the term that it holds.
    * `:file`, `:offset` - where it stands: the name of the file, without its
      directory, and the place of the record's first byte in it.
    * `:bytes` - what it takes there.
    * `:durable_seq` - the mutations up to here were known to be on the disk when it
      was written.

  | type | in a | `:op` |
  | --- | --- | --- |
  | `:mutation` | log | the command, as the client sent it: `{:insert, :owns, :fwd, {:ann, :axe}}` |
  | `:mark` | log | `[]`: it only says what is durable |
  | `:digest` | log | `{:digest, digest}` of the store at this seq |
  | `:roll` | log | `{:roll, name}` of the file in which the log goes on |
  | `:close` | log | `{:close, digest}`: an orderly end |
  | `:checkpoint` | checkpoint | `{:checkpoint, %{seq: seq, tables: count}}` |
  | `:table` | checkpoint | `{:create_table, name, type, options}` |
  | `:elements` | checkpoint | `{:load, name, side, elements}` |
  | `:table_end` | checkpoint | `{:loaded, name, %{count: n, next_id: id}}` |
  | `:checkpoint_end` | checkpoint | `{:checkpoint_end, %{seq: seq, digest: digest}}` |
  | `:manifest` | manifest | `{:manifest, %{checkpoint: seq, segments: [seq], ...}}` |

  A type that a newer daemon has added and that may be skipped is a number.
  """

  @enforce_keys [:seq, :type, :op, :file, :offset, :bytes, :durable_seq]
  defstruct [:seq, :type, :op, :file, :offset, :bytes, :durable_seq]

  @type type ::
          :mutation
          | :mark
          | :digest
          | :roll
          | :close
          | :checkpoint
          | :table
          | :elements
          | :table_end
          | :checkpoint_end
          | :manifest
          | 128..255

  @type t :: %__MODULE__{
          seq: non_neg_integer(),
          type: type(),
          op: term(),
          file: String.t(),
          offset: non_neg_integer(),
          bytes: pos_integer(),
          durable_seq: non_neg_integer()
        }
end
